"""What the terminal says of an order."""

import asyncio
import time

import pytest

from cli.api_client import ApiClient
from cli.device_order import end_words, exit_code, line_words, refusal_hint, story
from firmware_protocol.commands import CommandKind
from gateway.core.command import SENSED, SETTLED, Phase
from tests.unit.api.routes.test_commands import a_bike, order, put_in


@pytest.mark.parametrize("phase", Phase)
def test_only_what_is_confirmed_is_a_success(phase: Phase) -> None:
    expected = 0 if phase is Phase.CONFIRMED else 1 if phase in SETTLED else 3
    assert exit_code(phase.value) == expected


@pytest.mark.parametrize("phase", sorted([*SETTLED, Phase.UNCONFIRMED]))
def test_every_end_has_words(phase: Phase) -> None:
    assert (
        phase.value.split("_")[0][:4] in end_words({"kind": "unlock", "phase": phase.value, "reason": ""})
        or phase is Phase.ABANDONED
    )


@pytest.mark.parametrize("kind", CommandKind)
def test_sensors_are_named_only_for_what_they_show(kind: CommandKind) -> None:
    said = end_words({"kind": kind.name.lower(), "phase": "confirmed", "reason": ""})
    assert ("its sensors say so" in said) is (kind in SENSED)
    assert ("the device says so" in said) is (kind not in SENSED)


def test_a_line_says_when_and_what_and_never_becomes_markup() -> None:
    line = {"after_ms": 41, "what": "device_ack", "detail": {"result": "refused", "reason": "[red]jam"}}
    assert line_words(line) == "     41 ms  the device answers  [dim]result refused, reason (red)jam[/]"


def test_a_line_has_one_count_of_milliseconds() -> None:
    line = {"after_ms": 1241, "what": "settled", "detail": {"after_ms": 1229}}
    assert line_words(line) == "   1241 ms  settled"


def test_a_refusal_says_what_mends_it_where_this_terminal_can() -> None:
    def hint(problem: dict[str, object]) -> str:
        return refusal_hint(problem, "bike-1", "http://127.0.0.1:8099")

    reasons = [{"reason": "no_key", "detail": "no key"}, {"reason": "no_boot", "detail": "no boot"}]
    assert "./latchkey device key bike-1 " in hint({"reasons": reasons})
    assert "http://127.0.0.1:8099" in hint({"type": "urn:latchkey:problem:device_not_found"})
    assert hint({"reasons": [{"reason": "offline", "detail": "silent"}]}) == ""
    busy = hint({"type": "urn:latchkey:problem:slot_busy", "command_id": "7c"})
    assert "POST http://127.0.0.1:8099/v1/commands/7c/abandon" in busy


async def test_the_story_ends_with_the_command() -> None:
    async with a_bike() as surface:
        command = (await order(surface)).json()["id"]
        put_in(surface, command, Phase.CONFIRMED)
        client = ApiClient(f"http://127.0.0.1:{surface.port}", surface.token())
        lines = await asyncio.to_thread(lambda: list(story(client, command, until_s=time.monotonic() + 60)))
        assert [line["what"] for line in lines] == ["requested", "issued"]
