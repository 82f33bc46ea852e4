"""Health names every reason."""

from gateway.ports import StoreUnavailable
from tests.unit.api.surface import serving


async def test_a_process_with_all_stores_is_ready() -> None:
    async with serving() as surface:
        answer = await surface.http.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"ready": True, "reasons": []})
        assert (await surface.http.get("/livez")).status_code == 200


async def test_each_store_that_is_away_is_a_reason() -> None:
    async with serving() as surface:
        surface.truth.is_away = True
        surface.interruptions.raise_always("live_states.load", lambda: StoreUnavailable("gone"))
        surface.clock.advance(ms=60_000)
        answer = await surface.http.get("/readyz")
        assert answer.status_code == 503
        assert [reason.partition(":")[0] for reason in answer.json()["reasons"]] == [
            "the feed",
            "Redis",
            "PostgreSQL",
        ]
        assert (await surface.http.get("/livez")).status_code == 200
