"""A gateway whose clock is wrong makes no device obey too late, whatever else it gets wrong."""

import pytest

from tests.simulation.laws import never_late, never_twice
from tests.simulation.world import World

OFF_MS = 15_000
"""Behind by more than two heartbeats it would make every device look silent, and nothing would be issued."""

SEEDS = range(1, 25)


@pytest.mark.parametrize("off_ms", [(-OFF_MS, -OFF_MS), (-OFF_MS, 0), (OFF_MS, -OFF_MS)])
def test_a_gateway_that_is_behind_opens_nothing_late(off_ms: tuple[int, int]) -> None:
    executions = 0
    for seed in SEEDS:
        world = World(seed, gateways_off_ms=off_ms)
        world.run(200)
        assert [*never_late(world), *never_twice(world)] == [], seed
        executions += sum(len(device.executions) for device in world.devices.values())
    assert executions > len(SEEDS)
