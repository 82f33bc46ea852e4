"""Tokens of an identity provider whose keys are asked for over the net: nobody is called bad for its slowness."""

import asyncio
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from msgspec import structs

from api.auth import jwks
from api.auth.doors import Doors
from api.auth.fetching import FetchFailed
from api.auth.gate import Gate
from api.auth.jwks import ASK_AGAIN_AFTER_S, FRESH_FOR_S, IssuerKeys
from api.auth.tokens import BadToken
from gateway.ports import StoreUnavailable
from tests.unit.api.surface import Surface

PRIVATE = generate_private_key(65537, 2048)
PUBLIC = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(PRIVATE.public_key())), "kid": "one"}


@pytest.fixture
def surface() -> Surface:
    return Surface(Doors())


def gate_of(surface: Surface) -> Gate:
    """Takes tokens of the provider beside our own; no key of it was read yet."""
    keys = IssuerKeys({}, url="https://id.example.org/keys", monotonic_s=surface.clock.monotonic_s)
    rules = structs.replace(surface.gate.rules, keys=keys)
    return Gate(rules, surface.people, surface.people, surface.clock)


def issued(surface: Surface, key_id: str = "one") -> str:
    now_s = surface.clock.now_ms() // 1000
    claims = {"iss": "latchkey", "aud": "latchkey-api", "iat": now_s, "exp": now_s + 600}
    who = {"sub": "ann", "role": "staff", "operator_id": 1}
    return jwt.encode(claims | who, PRIVATE, algorithm="RS256", headers={"kid": key_id})


async def away(_: str) -> Any:
    raise FetchFailed("away")


async def told(_: str) -> Any:
    return {"keys": [PUBLIC]}


async def test_all_who_come_while_the_keys_are_being_read_are_let_in(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def slow(_: str) -> Any:
        asked.set()
        await answered.wait()
        return {"keys": [PUBLIC]}

    monkeypatch.setattr(jwks, "fetch_json", slow)
    gate, token = gate_of(surface), issued(surface)
    arrivals = [asyncio.create_task(gate.identify(token)) for _ in range(5)]
    await asked.wait()
    answered.set()
    assert {who.subject for who in await asyncio.gather(*arrivals)} == {"ann"}


async def test_before_the_provider_has_ever_told_its_keys_no_token_of_it_is_called_bad(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "fetch_json", away)
    gate, token = gate_of(surface), issued(surface)
    # The second one comes while the provider is left in peace.
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await gate.identify(token)
    monkeypatch.setattr(jwks, "fetch_json", told)
    surface.clock.advance(ms=int(ASK_AGAIN_AFTER_S * 1000) + 1)
    assert (await gate.identify(token)).subject == "ann"


async def test_our_own_tokens_are_good_though_the_provider_never_told_its_keys(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "fetch_json", away)
    assert (await gate_of(surface).identify(surface.token("staff", subject="kim"))).subject == "kim"


async def test_a_key_that_a_set_does_not_have_makes_a_token_bad(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "fetch_json", told)
    gate = gate_of(surface)
    assert (await gate.identify(issued(surface))).subject == "ann"
    with pytest.raises(BadToken):
        await gate.identify(issued(surface, "two"))


async def test_a_token_whose_key_the_provider_took_back_is_refused_though_it_was_good_before(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "fetch_json", told)
    gate, token = gate_of(surface), issued(surface)
    assert (await gate.identify(token)).subject == "ann"

    async def told_another(_: str) -> Any:
        return {"keys": [{**PUBLIC, "kid": "two"}]}

    monkeypatch.setattr(jwks, "fetch_json", told_another)
    assert gate.remembered(token) is not None
    surface.clock.advance(ms=int(FRESH_FOR_S * 1000) + 1)
    assert gate.remembered(token) is None
    with pytest.raises(BadToken):
        await gate.identify(token)
