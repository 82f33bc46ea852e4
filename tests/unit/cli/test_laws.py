"""The verb `laws`."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from cli.main import application
from tests.simulation import trial as trials


def test_it_says_how_much_was_tried() -> None:
    result = CliRunner().invoke(application(("laws",)), ["laws", "--seeds", "2", "--steps", "30"])
    assert result.exit_code == 0, result.output
    assert "2 seeds of 30 steps" in result.output
    assert "every law held" in result.output


def test_a_broken_law_ends_it_with_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = trials.run_seed

    def third_breaks(seed: int, *, steps: int) -> trials.Trial:
        trial = real(seed, steps=steps)
        return replace(trial, complaints=("never_twice: it was",)) if seed == 6 else trial

    monkeypatch.setattr(trials, "run_seed", third_breaks)
    result = CliRunner().invoke(
        application(("laws",)), ["laws", "--first", "4", "--seeds", "9", "--steps", "10"]
    )
    assert result.exit_code == 1
    assert "seed 6: 1 broken" in result.output
    assert "./latchkey laws --first 6 --seeds 1 --steps 10" in result.output
