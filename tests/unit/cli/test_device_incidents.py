"""Incidents in the terminal."""

import asyncio

from typer.testing import CliRunner, Result

from cli.api_client import ApiClient
from cli.device_incidents import incident_line, newest
from cli.main import application
from tests.unit.api.routes.test_incidents import row
from tests.unit.api.surface import serving


def ask(*more: str) -> Result:
    return CliRunner().invoke(application(("device",)), ["device", "incidents", *more])


async def test_incidents_are_listed_newest_first_across_pages() -> None:
    async with serving() as surface:
        surface.truth.incidents = [row(number) for number in range(450, 0, -1)]
        address = f"http://127.0.0.1:{surface.port}"
        client = ApiClient(address, surface.token())
        for limit, wanted in ((3, 3), (200, 200), (450, 450), (1_000, 450)):
            found = await asyncio.to_thread(newest, client, limit)
            assert [one["number"] for one in found] == list(range(450, 450 - wanted, -1))
        answer = await asyncio.to_thread(
            ask, "--limit", "2", "--api", address, "--token", surface.token("staff")
        )
        assert answer.exit_code == 1
        assert len(answer.stdout.splitlines()) == 2
        assert "executed_late" in answer.stdout
        assert "late_ms 900" in answer.stdout


async def test_nobody_to_ask_no_right_to_and_nothing_to_tell_end_differently() -> None:
    async with serving() as surface:
        address = f"http://127.0.0.1:{surface.port}"
        quiet = await asyncio.to_thread(ask, "--api", address, "--token", surface.token())
        assert (quiet.exit_code, quiet.stdout) == (0, "no incidents\n")
        rider = await asyncio.to_thread(ask, "--api", address, "--token", surface.token("rider"))
        assert rider.exit_code == 1
    assert ask("--api", "http://127.0.0.1:1", "--token", "t").exit_code == 3


def test_what_a_device_said_cannot_write_on_the_terminal() -> None:
    said = {
        "number": 1,
        "at": "2026-11-22T01:00:00Z",
        "kind": "executed_twice",
        "device_id": "bike-1",
        "command_id": None,
        "detail": {"reason": "\x1b[2Jgone"},
    }
    line = incident_line(said)
    assert line.isprintable()
    assert "no command" in line
