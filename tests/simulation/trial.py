"""One seed, run and judged: what a test, the verb `laws` and a person who repeats a failure all call."""

from dataclasses import dataclass

from tests.simulation.laws import broken
from tests.simulation.world import World

STEPS = 200


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one seed."""

    seed: int
    steps: int
    trace_hash: str
    commands: int
    executions: int
    complaints: tuple[str, ...]
    """Every law that was broken, with what broke it."""

    def __str__(self) -> str:
        told = "".join(f"\n  {complaint}" for complaint in self.complaints)
        return f"seed {self.seed}: {len(self.complaints)} broken{told}\n  repeat: {self.again}"

    @property
    def again(self) -> str:
        """The command that repeats it."""
        return f"./latchkey laws --first {self.seed} --seeds 1 --steps {self.steps}"


def run_seed(seed: int, *, steps: int = STEPS) -> Trial:
    """The same seed and steps always give the same trial."""
    world = World(seed)
    world.run(steps)
    executions = sum(len(device.executions) for device in world.devices.values())
    rows = len(world.stores.commands.rows)
    return Trial(seed, steps, world.scheduler.trace_hash(), rows, executions, tuple(broken(world)))
