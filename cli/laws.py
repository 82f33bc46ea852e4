"""The verb `laws`: the promises about commands, tried in a simulated hostile world, seed by seed."""

import sys
import time
from typing import Annotated

import typer

TELL_EVERY_S = 5.0


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("laws")(laws)


def laws(
    *,
    seeds: Annotated[int, typer.Option(min=1, help="How many worlds.")] = 500,
    first: Annotated[int, typer.Option(min=0, help="The first seed; the others follow it.")] = 1,
    steps: Annotated[
        int, typer.Option(min=1, help="Events of storm in each, before everything heals.")
    ] = 200,
) -> None:
    """Runs the real flows and the real device session over virtual time and a seeded hostile network, crash by
    crash, and holds what happened against every promise. Exit code 1 at the first broken one, with its seed.

      ./latchkey laws --seeds 2000

      ./latchkey laws --first 4711 --seeds 1
    """
    from tests.simulation.trial import run_seed

    began_s = told_s = time.monotonic()
    commands = executions = 0
    for done, seed in enumerate(range(first, first + seeds), start=1):
        trial = run_seed(seed, steps=steps)
        commands += trial.commands
        executions += trial.executions
        if trial.complaints:
            print(trial, file=sys.stderr)
            raise typer.Exit(1)
        if time.monotonic() - told_s >= TELL_EVERY_S:
            told_s = time.monotonic()
            print(f"{done} of {seeds} seeds", flush=True)
    took_s = time.monotonic() - began_s
    print(
        f"{seeds} seeds of {steps} steps in {took_s:.0f} s: {commands} commands, {executions} executions, "
        "every law held"
    )
