"""Whatever the network and the power do: no command twice, none late, none with an old fence."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_protocol.commands import AckResult, CommandKind
from tests.unit.firmware_protocol.obeying_world import ObeyingWorld

ACCEPTED, EXECUTED, REFUSED, FAILED = AckResult
UNLOCK = CommandKind.UNLOCK

USUAL = ("wait", "issue", "issue", "newest", "newest", "deliver", "welcome", "finish", "report")
RARE = (
    "long_wait",
    "greet",
    "answer",
    "answer",
    "cut",
    "dies_during",
    "dies_during",
    "power",
    "power_and_flash",
)

steps = st.lists(
    st.tuples(st.sampled_from((*USUAL, *USUAL, *RARE)), st.integers(0, 2**16)), min_size=25, max_size=80
)


def walk(world: ObeyingWorld, step: str, number: int) -> None:
    match step:
        case "wait":
            world.tick(number % 5_000)
        case "long_wait":
            world.tick(number * 100)
        case "greet":
            world.carry_out(world.session.rekey(world.keys, world.now_ms))
        case "issue":
            kind = UNLOCK if number % 2 else list(CommandKind)[number // 2 % 8]
            world.issue(kind, slot=number // 16 % 2, ttl_s=2 + number // 32 % 10)
        case "deliver" if world.downward:
            world.deliver(number % len(world.downward))
        case "newest" if world.downward:
            world.deliver(-1 - number % min(3, len(world.downward)))
        case "answer":
            world.hear_hello(-1 - number % min(3, len(world.hellos)))
        case "welcome":
            world.welcome()
        case "finish" if world.executing:
            world.finish(list(AckResult)[1 + number % 3])
        case "cut":
            world.cut()
        case "dies_during":
            world.dies_after = number % 4
        case "report" if world.session.boot:
            world.reported()
        case "power":
            world.lose_power(with_flash=True)
        case "power_and_flash":
            world.lose_power(with_flash=False)


@settings(deadline=None, max_examples=300)
@given(steps, st.integers(0, 2**32), st.integers(-100, 100))
def test_no_command_is_executed_twice_late_or_with_an_old_fence(
    taken: list[tuple[str, int]], seed: int, slow_ppm: int
) -> None:
    world = ObeyingWorld(Random(seed), slow_ppm)
    world.welcome()
    for step, number in taken:
        walk(world, step, number)
        world.check()


def test_long_walks_hold_too_and_meet_every_answer() -> None:
    said, deeds = set(), 0
    for seed in range(20):
        chance = Random(seed)
        world = ObeyingWorld(Random(seed + 1000), chance.randrange(-100, 101))
        world.welcome()
        for _ in range(600):
            step = chance.choice(USUAL if chance.random() < 0.9 else RARE)
            walk(world, step, chance.randrange(2**16))
        world.check()
        said |= {(ack.result, ack.reason) for ack in world.acks}
        deeds += len(world.deeds)
    assert deeds > 200
    assert said >= {(REFUSED, reason) for reason in ("expired", "wrong_boot", "old_fence")}
    assert said >= {(result, None) for result in (ACCEPTED, EXECUTED, FAILED)}
