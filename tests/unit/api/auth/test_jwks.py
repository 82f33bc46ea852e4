"""Keys of an identity provider: only good ones, asked for now and then, kept while nobody answers."""

import asyncio
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from api.auth import jwks
from api.auth.fetching import FetchFailed
from api.auth.jwks import ASK_AGAIN_AFTER_S, FRESH_FOR_S, BadKeySet, IssuerKeys, parse_key_set


def rsa(bits: int = 2048) -> dict[str, Any]:
    key = generate_private_key(65537, bits)
    told: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    return told


ONE, TWO = {**rsa(), "kid": "one"}, {**rsa(), "kid": "two", "alg": "RS256", "use": "sig"}


def test_keys_for_signatures_are_taken_and_others_left() -> None:
    others = [{"kty": "EC", "kid": "ec"}, {**ONE, "kid": "enc", "use": "enc"}, {**ONE, "alg": "RS512"}, "x"]
    assert set(parse_key_set({"keys": [ONE, TWO, *others]})) == {"one", "two"}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"keys": {}},
        {"keys": []},
        {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]},
        {"keys": [{"kty": "RSA", "n": "?", "e": "AQAB"}]},
        {"keys": [ONE] * 65},
    ],
)
def test_what_is_no_key_set_is_refused(document: Any) -> None:
    with pytest.raises(BadKeySet):
        parse_key_set(document)


def test_a_weak_key_is_refused() -> None:
    with pytest.raises(BadKeySet, match="2048"):
        parse_key_set({"keys": [{**rsa(1024), "kid": "weak"}]})


def test_a_private_key_is_not_taken() -> None:
    private = generate_private_key(65537, 2048)
    with pytest.raises(BadKeySet):
        parse_key_set({"keys": [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private))]})


async def test_an_address_is_asked_now_and_then_whatever_tokens_name(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, asked, answers = 1000.0, 0, [{"keys": [ONE]}, FetchFailed("away"), {"keys": [TWO]}]

    async def fetch(_: str) -> object:
        nonlocal asked
        answer = answers[asked]
        asked += 1
        if isinstance(answer, FetchFailed):
            raise answer
        return answer

    monkeypatch.setattr(jwks, "fetch_json", fetch)
    keys = IssuerKeys({}, url="https://issuer/keys", monotonic_s=lambda: now_s)
    due = [keys.is_due]
    assert await keys.refresh()
    assert keys.key("") is not None
    due.append(keys.is_due)
    assert due == [True, False]
    for _ in range(1000):
        assert not await keys.refresh()
    assert asked == 1
    now_s += FRESH_FOR_S + 1
    assert keys.is_due
    assert not await keys.refresh()
    assert keys.key("one") is not None, "an old key serves while nobody answers"
    now_s += ASK_AGAIN_AFTER_S + 1
    assert await keys.refresh()
    assert keys.key("one") is None
    assert keys.key("two") is not None


async def test_who_comes_while_the_address_is_asked_waits_for_that_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s, asked, answered = 1000.0, asyncio.Semaphore(0), asyncio.Event()

    async def slow(_: str) -> object:
        asked.release()
        await answered.wait()
        return {"keys": [TWO]}

    monkeypatch.setattr(jwks, "fetch_json", slow)
    keys = IssuerKeys({"one": jwt.PyJWK(ONE)}, url="https://issuer/keys", monotonic_s=lambda: now_s)
    now_s += FRESH_FOR_S + 1
    impatient, *patient = [asyncio.create_task(keys.refresh()) for _ in range(4)]
    await asked.acquire()
    assert keys.is_due, "old keys are waited for, also while somebody else asks"
    # Whose request began the question may go away: the others still get the answer.
    impatient.cancel()
    await asyncio.wait((impatient,))
    answered.set()
    assert await asyncio.gather(*patient) == [True, True, True]
    assert asked.locked(), "the address was asked once"
    assert (keys.is_due, keys.key("one")) == (False, None)
