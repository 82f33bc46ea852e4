"""One device by any of its names, and the list of all."""

from firmware_protocol.messages import DeviceId
from gateway.core.live_state import LiveState, Presence
from gateway.ports import StoreUnavailable
from tests.unit.api.live.entries import entry
from tests.unit.api.surface import NOW_MS, known, serving


async def test_a_device_is_found_by_its_id_and_by_its_public_id() -> None:
    async with serving() as surface:
        surface.truth.registered = [known("d1", public_id="p1")]
        await surface.put(entry(1))
        by_id = (await surface.http.get("/v1/devices/d1")).json()
        assert by_id == (await surface.http.get("/v1/devices/p1")).json()
        assert (by_id["id"], by_id["public_id"], by_id["revision"], by_id["stale"]) == ("d1", "p1", 1, False)
        assert by_id["availability"] == {"available": True, "reasons": [], "units": 1, "spaces": 0}


async def test_while_redis_is_away_the_saved_state_is_told_as_stale() -> None:
    async with serving() as surface:
        one = known("d1")
        surface.truth.registered = [one]
        surface.truth.states[one.record.device_no] = LiveState(
            9, 0, 1, NOW_MS, NOW_MS, Presence.ONLINE, b"", (), (), entry(1)
        )
        surface.interruptions.raise_always("live_states.load", lambda: StoreUnavailable("gone"))
        answer = (await surface.http.get("/v1/devices/d1")).json()
        assert (answer["stale"], answer["revision"]) == (True, 9)


async def test_the_list_is_walked_page_by_page() -> None:
    async with serving() as surface:
        surface.truth.registered = [known(f"d{number}") for number in range(5)]
        seen: list[str] = []
        after: str | None = ""
        while after is not None:
            page = (await surface.http.get("/v1/devices", params={"after": after, "limit": 2})).json()
            seen += [DeviceId(one["id"]) for one in page["devices"]]
            after = page["next"]
        assert seen == ["d0", "d1", "d2", "d3", "d4"]
