"""What the terminal says of an order."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import running
from cli.api_client import ApiClient, Refused
from cli.device_order import end_words, exit_code, line_words, refusal_hint, story
from cli.main import application
from cli.tokens import JWT_SECRET, TOKEN
from firmware_protocol.commands import CommandKind
from gateway.core.command import SENSED, SETTLED, Phase
from tests.unit.api.routes.test_commands import a_bike, order, put_in

RECORDED: tuple[int, Mapping[str, Any]] = (201, {"id": "7c", "settled": False, "phase": "sent"})
NO_LINES: tuple[int, Mapping[str, Any]] = (200, {"lines": []})


def an_api_that_says(monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, Mapping[str, Any]]) -> list[str]:
    """One after the other; what it was asked."""
    left, asked = list(answers), list[str]()

    def ask(self: ApiClient, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> Any:
        asked.append(f"{method} {path}")
        status, said = left.pop(0)
        if status >= 400:
            raise Refused(status, said)
        return said

    monkeypatch.setattr(ApiClient, "_ask", ask)
    return asked


def unlock(device_id: str, *more: str) -> tuple[int, str]:
    words = ["device", "unlock", device_id, *more]
    answer = CliRunner().invoke(application(("device",)), words, terminal_width=200)
    return answer.exit_code, answer.output


def order_of_an_api(device_id: str = "bike-1", address: str = "http://127.0.0.1:1") -> tuple[int, str]:
    return unlock(device_id, "--api", address, "--token", "t")


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


@pytest.mark.parametrize("status", [401, 404, 429, 503])
@pytest.mark.parametrize("heard", [0, 1, 2])
def test_an_order_that_is_recorded_is_unknown_when_its_end_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, status: int, heard: int
) -> None:
    settled = (200, {"id": "7c", "settled": True, "phase": "confirmed"})
    told = (RECORDED, settled, NO_LINES)[: heard + 1]
    an_api_that_says(monkeypatch, *told, (status, {"detail": "Not now."}))
    exit_code, said = order_of_an_api()
    assert exit_code == 3
    assert "Not now." in said
    assert "7c is recorded" in said


@pytest.mark.parametrize(("status", "expected"), [(403, 1), (409, 1), (429, 1), (500, 3), (502, 3), (503, 3)])
def test_an_order_that_the_api_stumbled_over_may_be_recorded(
    monkeypatch: pytest.MonkeyPatch, status: int, expected: int
) -> None:
    an_api_that_says(monkeypatch, (status, {"detail": "Not now."}))
    exit_code, said = order_of_an_api()
    assert exit_code == expected
    assert ("may or may not be recorded" in said) is (expected == 3)


def test_an_id_stays_one_part_of_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = an_api_that_says(monkeypatch, (404, {}))
    order_of_an_api("../a b?c#d")
    assert asked == ["POST /v1/devices/..%2Fa%20b%3Fc%23d/commands"]


@pytest.mark.parametrize("address", ["localhost:8080", "http://h:99999", "http://[::1", "http://", "ftp://h"])
def test_what_is_no_address_of_an_api_is_said_before_anything_is_asked(address: str) -> None:
    exit_code, said = order_of_an_api(address=address)
    assert exit_code == 2
    assert "http://127.0.0.1:8080" in said


def test_a_secret_that_makes_no_token_is_named_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    monkeypatch.setenv(running.POSTGRES_DSN, "host=nobody")
    monkeypatch.setenv(JWT_SECRET, "hunter2")
    exit_code, said = unlock("bike-1", "--api", "http://127.0.0.1:1")
    assert exit_code == 2
    assert JWT_SECRET in said
    assert "hunter2" not in said


def test_what_a_device_said_cannot_write_on_the_terminal() -> None:
    said = "\x1b[2Jgone\\"
    shown = (
        line_words({"after_ms": 41, "what": "device_ack", "detail": {"reason": said}}),
        end_words({"kind": "unlock", "phase": "refused", "reason": said}),
        str(Refused(409, {"detail": said})),
    )
    for line in shown:
        assert line.isprintable()
    assert shown[0].endswith("reason ?(2Jgone/[/]"), "a backslash would keep the markup open"
