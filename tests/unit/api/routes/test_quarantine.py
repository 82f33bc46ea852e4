"""Quarantined frames, newest first."""

from api.routes.quarantine import MAX_SHOWN_BYTES
from gateway.reading import QuarantineRow
from tests.unit.api.surface import NOW_MS, serving


async def test_frames_are_walked_page_by_page_and_shown_in_part() -> None:
    async with serving() as surface:
        surface.truth.frames = [
            QuarantineRow(number, "d1", "topic", "malformed", "at 3", NOW_MS, b"x" * 5_000)
            for number in (3, 2, 1)
        ]
        first = (await surface.http.get("/v1/quarantine", params={"limit": 2})).json()
        second = (
            await surface.http.get("/v1/quarantine", params={"limit": 2, "before": first["next"]})
        ).json()
        assert [frame["number"] for frame in first["frames"] + second["frames"]] == [3, 2, 1]
        assert second["next"] is None
        assert first["frames"][0]["frame_hex"] == "78" * MAX_SHOWN_BYTES
        assert first["frames"][0]["frame_bytes"] == 5_000
