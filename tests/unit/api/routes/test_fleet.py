"""Counts of the devices on the map."""

from gateway.core.device import Kind
from tests.unit.api.live.entries import entry
from tests.unit.api.surface import serving


async def test_devices_are_counted_by_kind_availability_and_presence() -> None:
    async with serving() as surface:
        for number in range(3):
            await surface.put(entry(number, available=number > 0))
        await surface.put(entry(9, kind=Kind.LOCKER))
        answer = (await surface.http.get("/v1/fleet")).json()
        assert (answer["devices"], answer["stale"]) == (4, False)
        assert {(g["kind"], g["available"], g["presence"]): g["count"] for g in answer["groups"]} == {
            ("bike", False, "online"): 1,
            ("bike", True, "online"): 2,
            ("locker", True, "online"): 1,
        }
