"""Verifiers of passwords, against the exchange that an RFC shows."""

import hashlib
import hmac
from base64 import b64decode

from cli.servers.scram import verifier

SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
SAID = (
    "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
)
"""All of the exchange that RFC 7677 shows for the user `user` with the password `pencil`."""
PROOF = b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
SERVER_SAYS = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_it_proves_the_exchange_of_the_rfc() -> None:
    kind, rounds_and_salt, keys = verifier("pencil", salt=SALT, rounds=4096).split("$")
    assert (kind, rounds_and_salt) == ("SCRAM-SHA-256", "4096:W22ZaJ0SNY7soEsUEjb6gQ==")
    stored_key, server_key = map(b64decode, keys.split(":"))
    signature = hmac.digest(stored_key, SAID.encode(), "sha256")
    client_key = bytes(one ^ other for one, other in zip(PROOF, signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored_key
    assert hmac.digest(server_key, SAID.encode(), "sha256") == b64decode(SERVER_SAYS)


def test_no_two_are_alike() -> None:
    assert verifier("same") != verifier("same")
