"""Answers hold what is listed for them and nothing else that a row or a report may have."""

from msgspec import structs
from websockets.asyncio.client import connect

from api.auth.policy import EVERYONE, ROUTES, Openness
from gateway.people import KnownKey
from gateway.reading import AuditRow, QuarantineRow
from tests.unit.api.live.entries import entry
from tests.unit.api.surface import NOW_MS, Surface, known, serving

ID = "id-canary"
CANARIES = ("hash-canary", "name-canary", "wrapped-canary")


async def furnished(surface: Surface) -> None:
    """Everything that could leak stands somewhere."""
    surface.truth.registered = [known(ID)]
    surface.people.keys["abcdefghijkl"] = KnownKey(
        "abcdefghijkl", 1, "service", "name-canary", b"hash-canary" + bytes(21), NOW_MS
    )
    surface.people.riders[1, b"hash-canary"] = "wrapped-canary"
    surface.truth.frames = [QuarantineRow(1, ID, "topic", "malformed", "", NOW_MS, b"\x00")]
    surface.truth.audited = [AuditRow(1, NOW_MS, "staff:ann", "staff", "x", ID, "", None, None)]
    await surface.put(structs.replace(entry(1), device_id=ID))


async def test_what_riders_get_names_no_device_and_nobody_gets_a_secret() -> None:
    async with serving() as surface:
        await furnished(surface)
        for (method, path), who in ROUTES.items():
            if method != "GET" or path == "/v1/live":
                continue
            url = path.replace("{id}", ID) + ("?lat=31.2304&lon=121.4737" if path == "/v1/nearby" else "")
            answer = await surface.http.get(url)
            assert not [one for one in CANARIES if one in answer.text + str(answer.headers)], path
            if who is EVERYONE or who is Openness.PUBLIC:
                assert ID not in answer.text, path


async def test_a_map_names_no_device() -> None:
    async with serving() as surface:
        await furnished(surface)
        url = f"ws://127.0.0.1:{surface.port}/v1/live"
        async with connect(url, proxy=None, additional_headers=surface.headers("staff")) as socket:
            await socket.send('{"type":"watch","id":1,"box":[121,31,122,32],"availability":"any"}')
            said = str(await socket.recv())
        assert '"id":"p1"' in said
        assert not [one for one in (ID, *CANARIES, "operator") if one in said]


async def test_what_a_client_adds_to_a_body_has_no_effect_or_is_refused() -> None:
    async with serving() as surface:
        surface.truth.registered = [known("d1")]
        body = {"kind": "query", "operator_id": 2, "requested_by": "operator_admin:eve", "fence": 99}
        answer = await surface.http.post(
            "/v1/devices/d1/commands", json=body, headers={"Idempotency-Key": "one-and-only"}
        )
        assert answer.status_code in (409, 422)
        assert "eve" not in answer.text
