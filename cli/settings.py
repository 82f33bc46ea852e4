"""Choices that several verbs offer."""

from typing import Literal

import typer

TimescaleChoice = Literal["auto", "off", "require"]


def timescale_choice(text: str) -> TimescaleChoice:
    """Raises typer.BadParameter for anything but auto, off and require."""
    match text:
        case "auto" | "off" | "require":
            return text
        case _:
            raise typer.BadParameter(f"timescale is auto, off or require, not {text!r}")
