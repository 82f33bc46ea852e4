"""The verb `check`: format, lint, types, import arrows and shape, all reported before it fails."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import typer

from cli.shape import findings, judge, read_rules
from cli.stack import CHECKOUT

PROGRAMS: dict[str, tuple[str, ...]] = {
    "format": ("ruff", "format", "--check", "--quiet", "--output-format", "concise", "."),
    "lint": ("ruff", "check", "--quiet", "--output-format", "concise", "."),
    "types": ("mypy", "--no-error-summary"),
    "arrows": ("lint-imports", "--no-cache"),
}
MENDED_BY = {"format": "ruff format .", "lint": "ruff check --fix ."}


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("check")(check)


def check() -> None:
    """Checks format, lint, types, import arrows and shape in about a minute; changes nothing.

    Example: ./latchkey check
    """
    raise typer.Exit(0 if all_well(print) else 1)


def all_well(say: Callable[[str], None]) -> bool:
    """Runs all checks at once, says one line for each and everything that is wrong."""
    with ThreadPoolExecutor(len(PROGRAMS)) as pool:
        running = {name: pool.submit(_run, command) for name, command in PROGRAMS.items()}
        shape = shape_complaints(CHECKOUT, datetime.now(UTC).date())
    wrong = {name: one.result() for name, one in running.items()} | {"shape": "\n".join(shape)}
    for name, said in wrong.items():
        say(f"check {name}: {'ok' if not said else 'FAILED'}")
        if said:
            say(said)
            if name in MENDED_BY:
                say(f"mend it with: .venv/bin/{MENDED_BY[name]}")
    return not any(wrong.values())


def shape_complaints(root: Path, today: date) -> list[str]:
    """What is wrong with sizes, words and mirror tests."""
    limits, allowed = read_rules(root / "pyproject.toml")
    return judge(findings(root, limits), allowed, today)


def _run(command: Sequence[str]) -> str:
    """What the program complained about; empty when it is content."""
    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run([program, *command[1:]], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    return (done.stdout + done.stderr).strip() or f"{command[0]} ended with {done.returncode}"
