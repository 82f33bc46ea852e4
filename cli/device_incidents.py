"""The verb `device incidents`: what must never happen and did, newest first."""

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from cli.api_client import ApiClient, Refused, Unanswered, printable
from cli.device_order import Api, Token, client_for

PAGE = 200
"""As many as the API gives at once."""


def register(devices: typer.Typer) -> None:
    """Adds it to the verb `device`."""
    devices.command("incidents")(incidents)


def incidents(
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 20,
    api: Api = "",
    token: Token = "",
) -> None:
    """Lists incidents of commands: executed late or twice, sensors that contradict an answer.

    Exit code 0 when there are none, 1 when there are some or the API refuses, 3 when it does not answer.

      Example: ./latchkey device incidents --limit 50
    """
    try:
        found = newest(client_for(api, token), limit)
    except Refused as refused:
        print(f"latchkey: {refused}", file=sys.stderr)
        raise typer.Exit(1) from None
    except Unanswered as nobody:
        print(f"latchkey: {nobody}", file=sys.stderr)
        raise typer.Exit(3) from None
    for one in found:
        print(incident_line(one))
    if not found:
        print("no incidents")
    raise typer.Exit(1 if found else 0)


def newest(client: ApiClient, limit: int) -> Sequence[Mapping[str, Any]]:
    """Page by page. Raises Refused, Unanswered."""
    found: list[Mapping[str, Any]] = []
    asked: dict[str, int] = {}
    while len(found) < limit:
        asked["limit"] = min(PAGE, limit - len(found))
        page = client.get(f"/v1/incidents?{urlencode(asked)}")
        found += page["incidents"]
        if page["next"] is None:
            break
        asked["before"] = page["next"]
    return found


def incident_line(incident: Mapping[str, Any]) -> str:
    """Number, time, what, which device, which command, and what else is known."""
    known = ", ".join(f"{name} {value}" for name, value in incident["detail"].items())
    command = incident["command_id"] or "no command"
    words = f"{incident['number']:>6}  {incident['at']}  {incident['kind']:<24}  {incident['device_id']}  {command}"
    return printable(f"{words}  {known}" if known else words)
