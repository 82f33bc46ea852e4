"""The verb `bench`: measurements on private servers, each with its physical floor from the same run."""

import shutil
from enum import StrEnum
from pathlib import Path
from typing import Annotated, assert_never

import typer

from cli.stack import STATE_FOLDER, Stack

BENCH_FOLDER = STATE_FOLDER / "bench"


class Subject(StrEnum):
    """What can be measured."""

    INGEST = "ingest"
    MAP_LATENCY = "map-latency"
    NEARBY = "nearby"
    UNLOCK = "unlock"


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("bench")(bench)


def bench(
    subject: Annotated[Subject, typer.Argument(help="What to measure.")],
    *,
    seconds: Annotated[float, typer.Option(min=2, max=600, help="Length of the main part.")] = 20.0,
    json: Annotated[Path | None, typer.Option(help="Also write the result to this file.")] = None,
    search: Annotated[bool, typer.Option(help="ingest: search the highest loss-free rate.")] = True,
    devices: Annotated[int, typer.Option(min=1_000, help="nearby: size of the fleet.")] = 1_000_000,
) -> None:
    """Measures and checks: no figure counts unless every report of the run is accounted for.

    Prints metrics, the floors measured in the same run, and their ratios. Exit code 1 when a check failed.

      ./latchkey bench ingest --seconds 60 --json ingest.json

      ./latchkey bench map-latency

      ./latchkey bench nearby --devices 200000

      ./latchkey bench unlock
    """
    from bench.result import show

    with Stack.started(BENCH_FOLDER) as stack:
        logs = stack.root / "processes"
        shutil.rmtree(logs, ignore_errors=True)
        match subject:
            case Subject.INGEST:
                from bench import ingest

                result = ingest.measure(stack, logs, seconds=seconds, search=search)
            case Subject.MAP_LATENCY:
                from bench import map_latency

                result = map_latency.measure(stack, logs, seconds=seconds)
            case Subject.NEARBY:
                from bench import nearby

                result = nearby.measure(stack, logs, devices=devices)
            case Subject.UNLOCK:
                from bench import unlock

                result = unlock.measure(stack, logs, seconds=seconds)
            case _:
                assert_never(subject)
        raise typer.Exit(show(result, json))
