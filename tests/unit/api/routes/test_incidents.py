"""What must never happen, over HTTP."""

from uuid import UUID

from gateway.reading import IncidentRow
from tests.unit.api.surface import NOW_MS, serving


def row(number: int) -> IncidentRow:
    return IncidentRow(number, "executed_late", "d1", UUID(int=number), NOW_MS, {"late_ms": 900})


async def test_incidents_are_walked_newest_first() -> None:
    async with serving() as surface:
        surface.truth.incidents = [row(number) for number in (5, 4, 3, 2, 1)]
        first = (await surface.http.get("/v1/incidents", params={"limit": 3})).json()
        assert [one["number"] for one in first["incidents"]] == [5, 4, 3]
        assert first["incidents"][0]["detail"] == {"late_ms": 900}
        rest = (await surface.http.get("/v1/incidents", params={"limit": 3, "before": first["next"]})).json()
        assert ([one["number"] for one in rest["incidents"]], rest["next"]) == ([2, 1], None)


async def test_another_operator_sees_none() -> None:
    async with serving() as surface:
        surface.truth.incidents = [row(1)]
        foreign = surface.headers(operator_id=2)
        assert (await surface.http.get("/v1/incidents", headers=foreign)).json()["incidents"] == []
