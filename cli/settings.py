"""Settings that several verbs read from the environment."""

import os
from typing import Literal

import typer

TimescaleChoice = Literal["auto", "off", "require"]


def postgres_dsn() -> str:
    """LATCHKEY_POSTGRES_DSN. Raises typer.BadParameter with what to do when it is not set."""
    dsn = os.environ.get("LATCHKEY_POSTGRES_DSN", "")
    if not dsn:
        raise typer.BadParameter(
            "no database named: give --dsn or set LATCHKEY_POSTGRES_DSN (./latchkey up prints one)"
        )
    return dsn


def timescale_choice(text: str) -> TimescaleChoice:
    """Raises typer.BadParameter for anything but auto, off and require."""
    match text:
        case "auto" | "off" | "require":
            return text
        case _:
            raise typer.BadParameter(f"timescale is auto, off or require, not {text!r}")
