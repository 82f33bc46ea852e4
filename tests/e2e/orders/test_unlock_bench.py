"""The measurement of unlocks, small: whatever does not depend on how fast the machine is must hold."""

from pathlib import Path

import pytest

from bench import unlock
from cli.stack import Stack

SMALL = {"BIKES": 600, "UNLOCKS": 300, "LOAD_DEVICES": 100, "LOAD_RATE_PER_S": 200, "RIDERS": 8}
MADE_FOR_SPEED = ("p50", "p99", "a second", "pressed as often")


def test_every_unlock_of_a_measurement_is_confirmed_in_spite_of_losses(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bikes forgot their fences before the losses began, and every one of 10,000 orders was refused, rightly."""
    for name, value in SMALL.items():
        monkeypatch.setattr(unlock, name, value)
    result = unlock.measure(stack, tmp_path, seconds=0.5)
    checks = [one for one in result.checks if not any(word in one.name for word in MADE_FOR_SPEED)]
    assert len(checks) > 5
    assert [f"{one.name}: {one.detail}" for one in checks if not one.passed] == []
    assert result.metrics["losses_count"] > 0
