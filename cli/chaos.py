"""The verb `chaos`: the fault trials in their long form."""

import shutil
from pathlib import Path
from random import Random
from typing import Annotated

import typer

from cli.stack import STATE_FOLDER, Stack

CHAOS_FOLDER = STATE_FOLDER / "chaos"


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("chaos")(chaos)


def chaos(
    names: Annotated[list[str] | None, typer.Argument(help="Trials to run; all when left out.")] = None,
    *,
    seconds: Annotated[float | None, typer.Option(min=1, help="Length of each, instead of its own.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the nemesis and the devices; drawn when left out.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often; each round has the next seed.")] = 1,
    short: Annotated[bool, typer.Option(help="As short as in the test run.")] = False,
    patience: Annotated[
        float, typer.Option(min=1, help="Stretches every time limit: for a busy machine.")
    ] = 1.0,
) -> None:
    """Kills, freezes, floods and lies to a running Latchkey, then compares what its devices were promised with
    what PostgreSQL holds. Exit code 1 when a promise was broken; the seed to repeat it is printed.

      ./latchkey chaos kill-gateway kill-anything --seconds 60

      ./latchkey chaos --short
    """
    from bench.faults.trials import TRIALS, run_trial

    known = {trial.name: trial for trial in TRIALS}
    unknown = sorted(set(names or ()) - known.keys())
    if unknown:
        raise typer.BadParameter(f"no trial {', '.join(unknown)}; there are {', '.join(known)}")
    first_seed = seed if seed is not None else Random().randrange(1_000_000)
    broken = 0
    with Stack.started(CHAOS_FOLDER) as stack:
        shutil.rmtree(stack.root / "trials", ignore_errors=True)
        for number in range(rounds):
            for trial in [known[name] for name in names or known]:
                length_s = seconds or (trial.short_s if short else trial.long_s)
                typer.echo(f"{trial.name}: {trial.law} ({length_s:g} s, seed {first_seed + number})")
                if reason := trial.unfit():
                    typer.echo(f"  skipped: {reason}")
                    continue
                folder = _folder(stack.root, trial.name, number)
                findings = run_trial(trial, stack, folder, seconds=length_s, seed=first_seed + number)
                complaints = findings.broken(patience)
                broken += bool(complaints)
                typer.echo(f"  {'BROKEN' if complaints else 'ok'}: {findings}")
                for complaint in complaints:
                    typer.echo(f"    {complaint}")
    raise typer.Exit(1 if broken else 0)


def _folder(root: Path, name: str, number: int) -> Path:
    return root / "trials" / f"{name}-{number}"
