import pytest
import typer

from cli.settings import timescale_choice


@pytest.mark.parametrize("text", ["auto", "off", "require"])
def test_the_three_choices_are_taken(text: str) -> None:
    assert timescale_choice(text) == text


@pytest.mark.parametrize("text", ["", "on", "AUTO"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        timescale_choice(text)
