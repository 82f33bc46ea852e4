"""History over HTTP: defaults, pages, and refusals that say what to do."""

import pytest
from msgspec import structs

from gateway.history_cursor import cursor
from gateway.reading import HistoryPage, HistoryQuestion, RawPoint, StepPoint
from tests.unit.api.surface import NOW_MS, known, serving

DAY_MS = 86_400_000


async def test_without_a_range_the_last_day_is_meant() -> None:
    async with serving() as surface:
        surface.truth.registered = [known("d1")]
        point = RawPoint(NOW_MS, NOW_MS, 7, 1, False, True, 10_000_000, None, 8.5, 50, 1, None, 1, 0, -70)
        surface.truth.points = HistoryPage([point], "cursor")
        answer = (await surface.http.get("/v1/devices/d1/history")).json()
        (question,) = surface.truth.asked
        assert (question.from_ms, question.to_ms, question.step) == (NOW_MS - DAY_MS, NOW_MS, "raw")
        assert (answer["device_id"], answer["step"], answer["next"]) == ("d1", "raw", "cursor")
        (shown,) = answer["points"]
        assert (shown["lat"], shown["lon"], shown["bolt"], shown["seq"]) == (1.0, None, "closed", 1)


async def test_steps_have_their_own_points() -> None:
    async with serving() as surface:
        surface.truth.registered = [known("d1")]
        surface.truth.points = HistoryPage(
            [StepPoint(NOW_MS, 3, None, None, 40, 60, 0, 2, 1, 3, online_minutes=2)], None
        )
        parameters = {"step": "1h", "from": "2026-09-01T00:00:00Z", "to": "2026-09-02T00:00:00+02:00"}
        answer = (await surface.http.get("/v1/devices/d1/history", params=parameters)).json()
        assert answer["points"][0]["battery_min_pct"] == 40
        assert answer["points"][0]["online_minutes"] == 2


async def test_the_next_page_of_a_question_without_a_range_is_of_the_same_range() -> None:
    async with serving() as surface:
        surface.truth.registered = [known("d1")]
        await surface.http.get("/v1/devices/d1/history")
        (asked,) = surface.truth.asked
        surface.clock.advance(ms=60_000)
        after = cursor(asked, NOW_MS, 7, 1)
        await surface.http.get("/v1/devices/d1/history", params={"after": after})
        assert surface.truth.asked[-1] == structs.replace(asked, after=after)


@pytest.mark.parametrize("from_ms", [-(2**63), 2**63 - 1])
async def test_a_range_that_somebody_wrote_into_a_cursor_is_judged_as_any_other(from_ms: int) -> None:
    async with serving() as surface:
        surface.truth.registered = [known("d1")]
        forged = cursor(HistoryQuestion(1, 1, "raw", from_ms, NOW_MS, 1, None), NOW_MS, 7, 1)
        answer = await surface.http.get("/v1/devices/d1/history", params={"after": forged})
        assert answer.status_code == 422
        assert surface.truth.asked == []


@pytest.mark.parametrize(
    ("parameters", "kind", "field"),
    [
        ({"from": "2026-09-02T00:00:00Z", "to": "2026-09-01T00:00:00Z"}, "bad_request", "from"),
        ({"from": "1990-01-01T00:00:00Z"}, "bad_request", "from"),
        ({"from": "2026-09-01T00:00:00"}, "bad_request", "from"),
        ({"from": "2020-09-01T00:00:00Z"}, "range_too_wide", "from, to"),
        ({"step": "5m"}, "bad_request", "step"),
        ({"after": "forged"}, "bad_request", "after"),
        ({"limit": "10001"}, "bad_request", "limit"),
    ],
)
async def test_an_absurd_question_is_refused_by_name(
    parameters: dict[str, str], kind: str, field: str
) -> None:
    async with serving() as surface:
        surface.truth.registered = [known("d1")]
        answer = await surface.http.get("/v1/devices/d1/history", params=parameters)
        assert answer.status_code == 422
        assert answer.json()["type"].endswith(kind)
        assert answer.json()["fields"][0]["field"] == field
