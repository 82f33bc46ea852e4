"""The verbs that tell a device what to do, and show in the terminal what becomes of it."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote
from uuid import uuid4

import typer
from rich.console import Console

from cli import running
from cli.api_client import ApiClient, BadAddress, Refused, Unanswered, printable
from cli.tokens import TOKEN, token_of
from gateway.core.command import SENSED

EXIT_OTHERWISE = 1
"""Refused, failed, expired, cancelled, too late: it ended, and not as asked."""
EXIT_UNKNOWN = 3
"""Unconfirmed, or nobody could tell what became of it: it may have happened."""

STUMBLED = 500
"""From this status on the API did not say no: it, or a proxy before it, lost its way, maybe after it had recorded."""

LOOK_EVERY_S = 0.1
PATIENCE_S = 10.0
"""Beyond `not_after`, for the last answers."""

_WORDS = {
    "requested": "asked for",
    "issued": "recorded",
    "claimed": "recorded as sent",
    "published": "sent to the device",
    "published_again": "sent again, the same frame",
    "probed": "asked whether it is listening",
    "broker_ack": "the broker has it",
    "device_ack": "the device answers",
    "evidence": "its sensors say",
    "contradiction": "its sensors say otherwise",
    "incident": "an incident was raised",
    "settled": "settled",
}
_ENDS = {
    "confirmed": "[bold green]confirmed[/]: done, and its sensors say so",
    "refused": "[bold red]refused[/] by the device",
    "failed": "[bold red]failed[/]: it did not happen",
    "expired": "[bold red]expired[/]: it was never sent",
    "cancelled": "[bold]cancelled[/] before it was sent",
    "unconfirmed": "[bold yellow]unconfirmed[/]: it may have happened; the next report will tell",
    "executed_late": "[bold red]executed too late[/]: an incident was raised",
    "abandoned": "[bold]given up[/]",
}
_CONFIRMED_UNSENSED = "[bold green]confirmed[/]: done, the device says so"
"""Of kinds that no sensor shows."""
_SENSED = frozenset(kind.name.lower() for kind in SENSED)

Id = Annotated[str, typer.Argument(help="Device id or current public id.")]
Slot = Annotated[int, typer.Option(min=0, help="Slot of a cabinet or locker; 0 is the device itself.")]
Ttl = Annotated[int, typer.Option(min=2, max=60, help="Seconds after which the device must not obey.")]
Why = Annotated[str, typer.Option(help="For the audit log; needed with --override.")]
Override = Annotated[list[str], typer.Option(help="Pass over a condition, such as low_battery; repeatable.")]
Api = Annotated[
    str, typer.Option(envvar=running.API_URL, help="Address of the API; of `up` or `demo` when left out.")
]
Token = Annotated[
    str, typer.Option(envvar=TOKEN, help="Bearer token or API key; likewise.", show_default=False)
]


def register(devices: typer.Typer) -> None:
    """Adds them to the verb `device`."""
    for kind, does in (
        ("unlock", "Opens the bolt of a bike."),
        ("lock", "Closes the bolt of a bike."),
        ("eject", "Ejects the unit of one slot: --slot N."),
        ("open_slot", "Opens the door of one compartment: --slot N."),
        ("locate", "Makes a device ring or blink."),
        ("reboot", "Restarts a device."),
        ("query", "Makes a device report now."),
    ):
        devices.command(kind.replace("_", "-"), help=_help(kind, does))(_verb(kind))


def _help(kind: str, does: str) -> str:
    example = {"eject": "cabinet-0042 --slot 3", "open_slot": "locker-0007 --slot 3"}.get(kind, "bike-000017")
    return (
        f"{does} Shows every step with its milliseconds.\n\n"
        "Exit code 0 when it is confirmed, 1 when it ended otherwise, 3 when nobody knows.\n\n"
        f"  Example: ./latchkey device {kind.replace('_', '-')} {example}"
    )


def _verb(kind: str) -> Any:
    def order(
        device_id: Id,
        *,
        slot: Slot = 0,
        ttl_s: Ttl = 10,
        why: Why = "",
        override: Override = [],  # noqa: B006  (typer copies it)
        api: Api = "",
        token: Token = "",
    ) -> None:
        wish = {"kind": kind, "slot": slot, "ttl_s": ttl_s, "why": why, "override": override}
        raise typer.Exit(_order(client_for(api, token), device_id, wish))

    return order


def client_for(api: str, token: str) -> ApiClient:
    """Of the options, else of what runs here. Raises typer.BadParameter, with what to do."""
    from api.bad_settings import BadSettings

    try:
        token = token or token_of(running.known_settings())
        if not token:
            raise typer.BadParameter(f"set {TOKEN} to a bearer token or an API key (./latchkey key create)")
        return ApiClient(api or running.setting(running.API_URL), token)
    except (BadAddress, BadSettings) as error:
        raise typer.BadParameter(str(error)) from error


def _order(client: ApiClient, device_id: str, wish: Mapping[str, Any]) -> int:
    console = Console(highlight=False)
    try:
        headers = {"Idempotency-Key": str(uuid4())}
        command = client.post(f"/v1/devices/{quote(device_id, safe='')}/commands", wish, headers)
    except Refused as refused:
        return _not_taken(refused, device_id, client.address)
    except Unanswered as nobody:
        return _unknown(f"{nobody}; the order may or may not be recorded")
    # From here on no refusal says anything of the order: it is on its way.
    try:
        end_s = time.monotonic() + int(wish["ttl_s"]) + PATIENCE_S
        for line in story(client, command["id"], until_s=end_s):
            console.print(line_words(line))
        command = client.get(f"/v1/commands/{command['id']}")
    except (Refused, Unanswered) as lost:
        place = f"{client.address}/v1/commands/{command['id']}"
        return _unknown(f"{lost}; the order {command['id']} is recorded, and {place} tells what became of it")
    console.print(end_words(command))
    return exit_code(command["phase"])


def _not_taken(refused: Refused, device_id: str, address: str) -> int:
    """Why nothing was recorded, where that is sure; the exit code."""
    if refused.status >= STUMBLED:
        return _unknown(f"{refused}; the order may or may not be recorded")
    print(f"latchkey: {refused}", file=sys.stderr)
    if hint := refusal_hint(refused.problem, device_id, address):
        print(f"latchkey: {hint}", file=sys.stderr)
    return EXIT_OTHERWISE


def _unknown(sentence: str) -> int:
    """Says it; the exit code."""
    print(f"latchkey: {sentence}", file=sys.stderr)
    return EXIT_UNKNOWN


def story(client: ApiClient, command_id: str, *, until_s: float) -> Iterator[Mapping[str, Any]]:
    """The lines of the timeline as they come, until the command is settled or unconfirmed, or time is up."""
    told = 0
    while True:
        command = client.get(f"/v1/commands/{command_id}")
        lines: Sequence[Mapping[str, Any]] = client.get(f"/v1/commands/{command_id}/timeline")["lines"]
        yield from lines[told:]
        told = len(lines)
        if command["settled"] or command["phase"] == "unconfirmed" or time.monotonic() > until_s:
            return
        time.sleep(LOOK_EVERY_S)


def line_words(line: Mapping[str, Any]) -> str:
    """One line for the terminal."""
    # `after_ms` of the end counts from the record, the first column from the wish: two nearly equal figures in a line.
    told = {name: value for name, value in line["detail"].items() if value != "" and name != "after_ms"}
    said = ", ".join(f"{name} {value}" for name, value in told.items())
    words = _WORDS.get(line["what"], line["what"].replace("_", " "))
    return f"{line['after_ms']:>7} ms  {words}{f'  [dim]{_plain(said)}[/]' if said else ''}"


def refusal_hint(problem: Mapping[str, Any], device_id: str, address: str) -> str:
    """What mends a refusal, where something at this terminal does; else empty."""
    if problem.get("type") == "urn:latchkey:problem:device_not_found":
        return f"asked was {address}; {running.API_URL} or --api names another, such as a demo beside an up"
    if problem.get("type") == "urn:latchkey:problem:slot_busy" and "command_id" in problem:
        busy = f"{address}/v1/commands/{problem['command_id']}"
        return f"the earlier one is {busy}; staff who have looked free the slot with POST {busy}/abandon"
    if "no_key" not in [one["reason"] for one in problem.get("reasons", ())]:
        return ""
    return f"if its hardware can verify: ./latchkey device key {device_id} gives it a key to enter"


def end_words(command: Mapping[str, Any]) -> str:
    """How it ended, in a sentence."""
    reason = f" ({_plain(command['reason'])})" if command["reason"] else ""
    words = _ENDS.get(command["phase"], command["phase"])
    if command["phase"] == "confirmed" and command["kind"] not in _SENSED:
        words = _CONFIRMED_UNSENSED
    return f"            {words}{reason}"


def exit_code(phase: str) -> int:
    """0 only for what is confirmed: an answer is not enough where sensors could say more."""
    if phase == "confirmed":
        return 0
    return EXIT_OTHERWISE if phase in _ENDS and phase != "unconfirmed" else EXIT_UNKNOWN


def _plain(text: str) -> str:
    """A device's words never become markup, nor steer the terminal; a backslash would keep markup open."""
    return printable(text).replace("[", "(").replace("]", ")").replace("\\", "/")
