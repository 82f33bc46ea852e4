"""Whoever answers for an operator reads its log, page by page."""

from gateway.reading import AuditRow
from tests.unit.api.surface import NOW_MS, serving


def _row(number: int) -> AuditRow:
    return AuditRow(
        number, NOW_MS, "staff:ann", "staff", "command_issue", "device:bike-1", "stuck", None, {"a": 1}
    )


async def test_pages_go_back_in_time() -> None:
    async with serving() as surface:
        surface.truth.audited = [_row(number) for number in (9, 7, 4)]
        first = (await surface.http.get("/v1/audit?limit=2")).json()
        assert [line["number"] for line in first["lines"]] == [9, 7]
        second = (await surface.http.get(f"/v1/audit?limit=2&before={first['next']}")).json()
        assert ([line["number"] for line in second["lines"]], second["next"]) == ([4], None)
        line = second["lines"][0]
        assert (line["actor"], line["action"], line["before"], line["after"]) == (
            "staff:ann",
            "command_issue",
            None,
            {"a": 1},
        )


async def test_another_operator_reads_nothing_of_it_and_staff_read_none() -> None:
    async with serving() as surface:
        surface.truth.audited = [_row(1)]
        other = surface.headers("operator_admin", operator_id=2)
        assert (await surface.http.get("/v1/audit", headers=other)).json()["lines"] == []
        assert (await surface.http.get("/v1/audit", headers=surface.headers("staff"))).status_code == 403
