"""The verb `device ca`: certificates for devices and the broker, and the list of those taken back."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import psycopg
import typer

from cli.ca import (
    CERTIFICATE_NAME,
    LIST_NAME,
    SERVER_CERTIFICATE_NAME,
    SERVER_KEY_NAME,
    CaRefused,
    CertificateAuthority,
    now,
    replace,
    write_new,
)
from cli.database import database, fail
from cli.device_actions import console
from cli.stack import STATE_FOLDER
from gateway.stores.certificates import (
    hex_serial,
    next_list,
    note_certificate,
    revoke_certificates,
    save_list,
)
from gateway.stores.device_identity import RetiredDevice, UnknownDevice

FOLDER = STATE_FOLDER / "ca"

Answer = TypeVar("Answer")
Id = Annotated[str, typer.Argument(help="The device id.")]
Folder = Annotated[
    Path, typer.Option("--folder", help="Of the authority: its private key is worth the whole fleet.")
]
Why = Annotated[str, typer.Option(help="For the audit log.")]


def register(devices: typer.Typer) -> None:
    """Adds it to the verb `device`."""
    verbs = typer.Typer(
        no_args_is_help=True, help="A private certificate authority for devices and the broker."
    )
    for verb in (init, issue, revoke, crl, server):
        verbs.command(verb.__name__)(verb)
    devices.add_typer(verbs, name="ca")


def init(
    *,
    folder: Folder = FOLDER,
    name: Annotated[str, typer.Option(help="What the authority is called.")] = "Latchkey devices",
) -> None:
    """Makes a new authority and its first, empty list of revoked certificates.

    Example: ./latchkey device ca init --folder /etc/latchkey/ca
    """

    def work(connection: psycopg.Connection) -> None:
        sign_list(connection, CertificateAuthority.make(folder, name, now()))

    _run(work)
    print(f"{folder / CERTIFICATE_NAME} goes to the broker and into devices; the key beside it goes nowhere")


def issue(
    device_id: Id,
    *,
    folder: Folder = FOLDER,
    request: Annotated[
        Path | None, typer.Option(help="A signing request in PEM: the device's key then never leaves it.")
    ] = None,
    into: Annotated[Path, typer.Option(help="Where ID.crt and ID.key go.")] = Path(),
    why: Why = "",
) -> None:
    """Gives a device a certificate with its id as common name. Earlier ones stay good until they are revoked.

    Example: ./latchkey device ca issue bike-0001 --into /tmp/bike-0001
    """

    def work(connection: psycopg.Connection) -> list[Path]:
        asked = request.read_bytes() if request is not None else b""
        made = CertificateAuthority(folder).issue(device_id, now(), request=asked)
        written = [into / f"{device_id}.crt", *([into / f"{device_id}.key"] if made.key else [])]
        # Before it is noted: a certificate that nobody has would stand in the registry until it is taken back.
        _check_room(into, written[1:])
        note_certificate(
            connection,
            device_id,
            console(why),
            serial=made.serial,
            not_before=made.not_before,
            not_after=made.not_after,
        )
        if made.key:
            write_new(written[1], made.key)
        replace(written[0], made.certificate)
        print(f"serial {hex_serial(made.serial)}, good until {made.not_after:%Y-%m-%d}")
        return written

    print("wrote " + " and ".join(str(path) for path in _run(work)))


def revoke(
    device_id: Id,
    *,
    folder: Folder = FOLDER,
    serial: Annotated[str, typer.Option(help="Only this one; all of the device's unless given.")] = "",
    why: Why = "",
) -> None:
    """Takes certificates back and signs the list anew; the broker refuses them within seconds.

    Example: ./latchkey device ca revoke bike-0001 --why "key read out"
    """

    def work(connection: psycopg.Connection) -> list[str]:
        authority = CertificateAuthority(folder)
        with connection.transaction():
            serials = revoke_certificates(connection, device_id, console(why), serial=serial)
            sign_list(connection, authority)
        return serials

    serials = _run(work)
    if not serials:
        fail(f"{device_id} has no such certificate that stands")
    print("revoked " + " ".join(serials))


def crl(*, folder: Folder = FOLDER) -> None:
    """Signs the list of revoked certificates anew and prints it.

    Example: ./latchkey device ca crl > devices.crl
    """
    print(_run(lambda connection: sign_list(connection, CertificateAuthority(folder))), end="")


def server(
    hosts: Annotated[
        list[str], typer.Argument(help="Names or addresses under which devices reach the broker.")
    ],
    *,
    folder: Folder = FOLDER,
) -> None:
    """Makes the broker's own certificate, beside the authority's. `broker-files --certificates FOLDER` then opens the
    listeners with TLS.

    Example: ./latchkey device ca server mqtt.example.org 203.0.113.7
    """

    def work() -> None:
        made = CertificateAuthority(folder).server(hosts, now())
        replace(folder / SERVER_KEY_NAME, made.key)
        replace(folder / SERVER_CERTIFICATE_NAME, made.certificate)
        print(f"{folder / SERVER_CERTIFICATE_NAME} is good until {made.not_after:%Y-%m-%d}")

    _answered(work)


def _check_room(into: Path, new: Sequence[Path]) -> None:
    """Raises CaRefused, OSError where these cannot be written."""
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(into, os.W_OK | os.X_OK):
        raise CaRefused(f"{into} cannot be written")
    for path in new:
        if path.exists():
            raise CaRefused(f"{path} is there already and may be in use: give --into another folder")


def sign_list(connection: psycopg.Connection, authority: CertificateAuthority) -> str:
    """The list as the database and the authority's folder have it now. Raises psycopg.Error, OSError."""
    with connection.transaction():
        number, revoked = next_list(connection)
        pem = authority.revoked(number, revoked, now())
        save_list(connection, number, pem)
    replace(authority.folder / LIST_NAME, pem.encode())
    return pem


def _run(work: Callable[[psycopg.Connection], Answer]) -> Answer:
    def connected() -> Answer:
        with database() as connection:
            return work(connection)

    return _answered(connected)


def _answered(work: Callable[[], Answer]) -> Answer:
    try:
        return work()
    except (CaRefused, UnknownDevice, RetiredDevice, OSError) as refused:
        fail(str(refused))
