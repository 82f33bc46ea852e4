"""Who was known stays known for as long as that is safe; what was taken back is refused."""

import pytest
from msgspec import structs

from api.auth.api_keys import new_key
from api.auth.doors import Doors
from api.auth.gate import KEY_FRESH_FOR_S, KEY_USABLE_FOR_S, bearer_of
from api.auth.tokens import BadToken
from api.problems import Problem
from gateway.people import KnownKey
from gateway.ports import StoreUnavailable
from tests.unit.api.surface import NOW_MS, Surface


@pytest.fixture
def surface() -> Surface:
    return Surface(Doors())


def a_key(surface: Surface, role: str = "service") -> str:
    made = new_key()
    surface.people.keys[made.key_id] = KnownKey(made.key_id, 1, role, "x", made.secret_hash, NOW_MS)
    return made.key


async def test_a_token_is_looked_at_once_and_ends_in_time(surface: Surface) -> None:
    token = surface.token("staff", life_s=60)
    assert surface.gate.remembered(token) is None
    who = await surface.gate.identify(token)
    assert surface.gate.remembered(token) == who
    surface.clock.advance(ms=91_000)
    assert surface.gate.remembered(token) is None
    with pytest.raises(BadToken):
        await surface.gate.identify(token)


async def test_a_token_that_was_taken_back_is_refused_and_a_later_one_is_not(surface: Surface) -> None:
    token = surface.token("staff", subject="ann")
    await surface.gate.identify(token)
    surface.people.taken_back = {(1, "ann"): NOW_MS + 1_000}
    await surface.gate.look()
    assert surface.gate.remembered(token) is None
    with pytest.raises(BadToken):
        await surface.gate.identify(token)
    assert (await surface.gate.identify(surface.token("staff", subject="ann", operator_id=2))).operator_id
    surface.clock.advance(ms=2_000)
    assert (await surface.gate.identify(surface.token("staff", subject="ann"))).operator_id


async def test_before_it_is_known_what_was_taken_back_nobody_is_let_in(surface: Surface) -> None:
    surface.people.is_away = True
    with pytest.raises(StoreUnavailable):
        await surface.gate.identify(surface.token())
    surface.people.is_away = False
    assert (await surface.gate.identify(surface.token())).operator_id


async def test_a_revoked_key_is_refused_within_seconds(surface: Surface) -> None:
    key = a_key(surface)
    who = await surface.gate.identify(key)
    assert who.role == "service"
    key_id, known = surface.people.keys.popitem()
    surface.people.keys[key_id] = structs.replace(known, revoked_ms=NOW_MS)
    surface.clock.advance(ms=int(KEY_FRESH_FOR_S * 1000) + 1)
    with pytest.raises(BadToken):
        await surface.gate.identify(key)


async def test_a_revoked_key_is_refused_within_seconds_though_the_clock_was_set_back(
    surface: Surface,
) -> None:
    key = a_key(surface)
    await surface.gate.identify(key)
    surface.clock.set_back(ms=3_600_000)
    key_id, known = surface.people.keys.popitem()
    surface.people.keys[key_id] = structs.replace(known, revoked_ms=surface.clock.now_ms())
    surface.clock.advance(ms=int(KEY_FRESH_FOR_S * 1000) + 1)
    assert surface.gate.remembered(key) is None
    with pytest.raises(BadToken):
        await surface.gate.identify(key)


async def test_a_key_that_was_looked_at_under_a_wrong_secret_is_no_longer_good_for_it(
    surface: Surface,
) -> None:
    """Its id stands in the audit log: whoever asks with it must not make what was read last twice as long."""
    key = a_key(surface)
    with pytest.raises(BadToken):
        await surface.gate.identify(key[:-4] + ("aaaa" if not key.endswith("aaaa") else "bbbb"))
    surface.clock.advance(ms=int(KEY_FRESH_FOR_S * 1000) - 100)
    assert (await surface.gate.identify(key)).operator_id
    key_id, known = surface.people.keys.popitem()
    surface.people.keys[key_id] = structs.replace(known, revoked_ms=NOW_MS)
    surface.clock.advance(ms=101)
    with pytest.raises(BadToken):
        await surface.gate.identify(key)


async def test_a_key_ends_when_it_says(surface: Surface) -> None:
    key = a_key(surface)
    key_id, known = surface.people.keys.popitem()
    surface.people.keys[key_id] = structs.replace(known, expires_ms=NOW_MS + 1_000)
    assert (await surface.gate.identify(key)).operator_id
    surface.clock.advance(ms=1_001)
    assert surface.gate.remembered(key) is None
    with pytest.raises(BadToken):
        await surface.gate.identify(key)


async def test_a_good_key_outlives_a_short_absence_of_the_database(surface: Surface) -> None:
    key = a_key(surface)
    await surface.gate.identify(key)
    surface.people.is_away = True
    surface.clock.advance(ms=int(KEY_USABLE_FOR_S * 1000) - 1_000)
    assert (await surface.gate.identify(key)).operator_id
    surface.clock.advance(ms=10_000)
    with pytest.raises(StoreUnavailable):
        await surface.gate.identify(key)


async def test_what_is_remembered_is_bounded(surface: Surface, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.auth.gate.MAX_REMEMBERED", 3)
    tokens = [surface.token("rider", subject=f"r{number}") for number in range(5)]
    for token in tokens:
        await surface.gate.identify(token)
    assert [surface.gate.remembered(token) is not None for token in tokens] == [
        False,
        False,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (b"Bearer abc", "abc"),
        (b"bearer  abc ", "abc"),
        (b"Basic abc", None),
        (b"Bearer", ""),
        (b"\xff\xfe", None),
    ],
)
def test_only_a_bearer_is_one(value: bytes, token: str | None) -> None:
    assert bearer_of([(b"host", b"x"), (b"authorization", value)]) == token
    assert bearer_of([]) is None


def test_two_authorizations_are_none() -> None:
    assert bearer_of([(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")]) is None


async def test_who_may_not_is_told_so(surface: Surface) -> None:
    headers = [(b"authorization", f"Bearer {surface.token('rider')}".encode())]
    with pytest.raises(Problem) as refused:
        await surface.gate.admit("GET", "/v1/devices", headers)
    assert refused.value.status == 403
    with pytest.raises(Problem) as unknown:
        await surface.gate.admit("GET", "/v1/devices", [])
    assert (unknown.value.status, unknown.value.headers["WWW-Authenticate"]) == (
        401,
        'Bearer realm="latchkey"',
    )
    assert await surface.gate.admit("GET", "/livez", []) is None


async def test_known_is_whom_it_would_admit_without_asking_anybody(surface: Surface) -> None:
    def headers(token: str) -> list[tuple[bytes, bytes]]:
        return [(b"authorization", f"Bearer {token}".encode())]

    token = surface.token("staff", subject="ann", life_s=60)
    gate = surface.gate
    assert gate.known("GET", "/v1/nearby", headers(token)) is None
    who = await gate.admit("GET", "/v1/nearby", headers(token))
    assert gate.known("GET", "/v1/nearby", headers(token)) == who
    # By the same table: not in it, open to all, and for other roles.
    for path in ("/v1/nowhere", "/livez", "/v1/audit"):
        assert gate.known("GET", path, headers(token)) is None, path
    for said in ([], headers(token) * 2, headers("other"), [(b"authorization", b"Basic " + token.encode())]):
        assert gate.known("GET", "/v1/nearby", said) is None
    surface.people.taken_back = {(1, "ann"): NOW_MS + 1_000}
    await gate.look()
    assert gate.known("GET", "/v1/nearby", headers(token)) is None
    surface.people.taken_back = {}
    await gate.look()
    assert gate.known("GET", "/v1/nearby", headers(token)) == who
    surface.clock.advance(ms=91_000)
    assert gate.known("GET", "/v1/nearby", headers(token)) is None
