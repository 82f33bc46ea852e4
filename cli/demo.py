"""The verb `demo`: a city of simulated devices on a live map, from nothing, in one command."""

import os
import socket
from pathlib import Path
from typing import Annotated

import typer

from cli.demo_run import DemoPlan, run_demo
from cli.running import DEMO_FOLDER
from device_sim.faults import PROFILES as FAULT_PROFILES
from device_sim.misbehaviour import BadMisbehaviour, Misbehaviour, parse_misbehaviours
from device_sim.profiles import BadMix
from device_sim.replay import BadTripFile, parse_mapping
from device_sim.scenario import (
    COLUMN_HELP,
    REPLAY_HELP,
    Asked,
    Replay,
    Scenario,
    fictional,
    mix_asked,
    replayed,
)

FLEET_SECRET = b"a demo has no secrets"
"""Device passwords derive from it; the broker of a demo listens on the loopback address only."""

DEFAULT_RATE_PER_S = 300.0
"""Lively to look at, and a tenth of one core."""

PAGE_PORT = 8080

DEFAULT_DEVICES = 3_000

Devices = Annotated[
    int | None,
    typer.Option(
        min=1, max=20_000, help="How many devices; at most, in a replay.", show_default=str(DEFAULT_DEVICES)
    ),
]
Rate = Annotated[float, typer.Option(min=0.1, help="Reports per second of all together.")]
Columns = Annotated[list[str] | None, typer.Option("--map", help=COLUMN_HELP)]
Misbehave = Annotated[
    list[str] | None,
    typer.Option(
        help=f"NAME or NAME=SHARE, repeatable; devices that treat commands wrongly: {', '.join(Misbehaviour)}."
    ),
]


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("demo")(demo)


def demo(
    *,
    devices: Devices = None,
    rate: Rate = DEFAULT_RATE_PER_S,
    for_s: Annotated[float | None, typer.Option("--for", min=1, help="Seconds; else until Ctrl-C.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the summary to this file.")] = None,
    replay: Annotated[Path | None, typer.Option(help=REPLAY_HELP)] = None,
    column: Columns = None,
    speed: Annotated[float, typer.Option(min=0.1, help="Of a replay: 60 is a minute per second.")] = 60.0,
    from_hour: Annotated[float, typer.Option(min=0.0, help="Skip so many hours of the file.")] = 0.0,
    profile: Annotated[str, typer.Option(help=f"Faults: {', '.join(FAULT_PROFILES)}.")] = "none",
    misbehave: Misbehave = None,
    mix: Annotated[str, typer.Option(help="Weights: bike=84,cabinet=11,locker=5")] = "",
    seed: Annotated[int, typer.Option(help="The same seed lives the same life.")] = 1,
    port: Annotated[
        int, typer.Option(help="Of page and API; a free one when this is taken.", min=0, max=65_535)
    ] = PAGE_PORT,
    data: Annotated[Path, typer.Option(help="Where the servers keep their data.")] = DEMO_FOLDER,
) -> None:
    """Starts private servers, a gateway, the API and a simulated fleet, and prints where to look.

    Nothing is installed for good and nothing listens beyond this machine. Ends with Ctrl-C, or by itself:

      ./latchkey demo --devices 5000 --for 60 --json summary.json

      ./latchkey demo --replay trips.csv --speed 60

      ./latchkey demo --profile city      # with a city's dead spots, reboots and wrong clocks
    """
    _check_profile(profile)
    _check_summary(json_file)
    try:
        wrong = parse_misbehaviours(misbehave or ())
        weights = mix_asked(mix, bikes_only=replay is not None and devices is None)
        asked = Asked(devices or DEFAULT_DEVICES, seed, FLEET_SECRET, weights, wrong)
        source = Replay(replay, parse_mapping(column or []), from_hour) if replay else None
        scenario: Scenario = replayed(source, asked) if source else fictional(asked)
    except (BadMix, BadTripFile, BadMisbehaviour, OSError) as error:
        raise typer.BadParameter(str(error)) from error
    plan = DemoPlan(
        scenario=scenario,
        # In a replay time runs at its speed; else as fast as the rate asks for.
        rate_per_s=None if source else rate,
        speed=speed if source else None,
        for_s=for_s,
        profile=profile,
        port=free_or_any(port),
        folder=data,
    )
    raise typer.Exit(run_demo(plan, json_file))


def _check_profile(profile: str) -> None:
    if profile not in FAULT_PROFILES:
        raise typer.BadParameter(f"profile is one of {', '.join(FAULT_PROFILES)}, not {profile!r}")


def _check_summary(json_file: Path | None) -> None:
    """Before anything starts: a summary that cannot be written is lost at the end of the run."""
    if json_file is None:
        return
    if json_file.is_dir():
        raise typer.BadParameter(f"{json_file} is a folder; --json names a file")
    if not json_file.parent.is_dir():
        raise typer.BadParameter(f"--json names a file in {json_file.parent}, which is no folder")
    if not os.access(json_file if json_file.exists() else json_file.parent, os.W_OK):
        raise typer.BadParameter(f"{json_file} cannot be written")


def free_or_any(port: int) -> int:
    """The port when it is free, else 0: a demo must not fail because something else serves pages."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port
