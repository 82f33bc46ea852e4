"""What a device makes of commands: latchkey_commands.h answers, obeys and remembers as DeviceSession does."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol import codec, topics
from firmware_protocol.commands import AckResult, Command, CommandKind
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.device_session import DeviceSession, Identity
from firmware_protocol.effects import Effect, Execute, Publish, Remember
from firmware_protocol.limits import REMEMBERED_COMMANDS
from firmware_protocol.messages import DeviceId, Report, Welcome
from firmware_protocol.signature import sign_command, sign_welcome
from tests.unit.firmware_protocol.c.compiled import DeviceInC

DEVICE = DeviceId("bike-000123")
KEY = DeviceKey(7, bytes(range(32)))
EPOCH_S = 1_790_000_000
SAY_NOTHING, SAY_AGAIN, REFUSE, OBEY = range(4)


def published(effects: list[Effect]) -> list[bytes]:
    topic = topics.ack_topic(DEVICE)
    return [effect.payload for effect in effects if isinstance(effect, Publish) and effect.topic == topic]


class Twins:
    """One device in Python and one in C, to which the same happens; they must answer the same."""

    def __init__(self, device: DeviceInC, chance: Random) -> None:
        self.device = device
        self.chance = chance
        self.now_ms = 0
        self.power_on_id = 0
        self.asked_ms = [0]
        self.session = DeviceSession(Identity(DEVICE, "bike-x1"), chance, keys=[KEY])
        device.become(DEVICE, [KEY])
        self.lose_power()

    def lose_power(self) -> None:
        """Both keep their flash; their clocks begin anew."""
        self.now_ms = 0
        self.session = DeviceSession(
            Identity(DEVICE, "bike-x1"), self.chance, keys=[KEY], remembered=self.session.remember()
        )
        self.power_on_id = 0
        self.greet()

    def greet(self) -> None:
        self.session.disconnected(self.now_ms)
        hello = next(
            codec.decode_hello(effect.payload)
            for effect in self.session.connected(self.now_ms)
            if isinstance(effect, Publish) and effect.topic == topics.hello_topic(DEVICE)
        )
        if hello.power_on_id != self.power_on_id:
            self.power_on_id = hello.power_on_id
            self.asked_ms.clear()
            self.device.ask("power", self.power_on_id)
        self.asked_ms.append(self.now_ms)
        self.device.ask("greeted", self.now_ms)

    def welcome(self, welcome: Welcome) -> None:
        frame = sign_welcome(welcome, device_id=DEVICE, key=KEY)
        self.session.received(topics.welcome_topic(DEVICE), frame, self.now_ms)
        self.device.ask("welcomed", f"x{frame.hex()}", self.now_ms)
        assert int(self.device.ask("clock", self.now_ms)[0]) == self.session.boot

    def hear(self, command: Command) -> int:
        """The verdict of both."""
        frame = sign_command(command, device_id=DEVICE, key=KEY)
        effects = self.session.received(topics.command_topic(DEVICE), frame, self.now_ms)
        _, verdict, *answer = self.device.ask("obey", self.now_ms, f"x{frame.hex()}")
        assert [bytes.fromhex(sealed) for sealed in answer[1:]] == published(effects)
        assert (int(verdict) == OBEY) == any(isinstance(effect, Execute) for effect in effects)
        assert (int(verdict) == SAY_NOTHING) == (not effects)
        # Whatever Python must remember first, C saves first.
        assert int(verdict) in (REFUSE, OBEY) or Remember() not in effects
        self.check_fences()
        return int(verdict)

    def end(self, command_id: bytes, result: AckResult, reason: str = "") -> None:
        effects = self.session.executed(command_id, result, self.now_ms, reason=reason or None)
        said, *answer = self.device.ask("executed", self.now_ms, command_id.hex(), int(result), reason)
        assert bool(int(said)) == bool(effects)
        assert [bytes.fromhex(sealed) for sealed in answer[1:]] == published(effects)
        self.check_fences()

    def report(self) -> None:
        """Both state themselves, with the same stamp; without a boot number the one in C does not."""
        if not self.session.boot:
            return
        topic = topics.report_topic(DEVICE)
        effects = self.session.report(Report(), self.now_ms)
        (frame,) = [e.payload for e in effects if isinstance(e, Publish) and e.topic == topic]
        report = codec.decode_report(frame)
        stamped = self.device.ask("stamped", self.now_ms)
        assert stamped == [str(value) for value in (report.boot, report.seq, report.elapsed_ms)]

    def check_fences(self) -> None:
        fences = dict(self.session.remember().obeyed.fences)
        for slot in range(4):
            ours = [str(fences[slot].taken), str(fences[slot].over)] if slot in fences else ["0", "0"]
            assert self.device.ask("fences", slot) == ours


def command_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def unlock(number: int, *, fence: int, boot: int = EPOCH_S, in_s: int = 10) -> Command:
    return Command(command_id(number), boot, fence, EPOCH_S + in_s, CommandKind.UNLOCK)


def welcomed(device: DeviceInC) -> Twins:
    twins = Twins(device, Random(1))
    twins.welcome(Welcome(twins.power_on_id, EPOCH_S, EPOCH_S * 1000, 0))
    return twins


def one_step(twins: Twins, chance: Random) -> None:
    match chance.randrange(10):
        case 0:
            twins.now_ms += chance.choice([1, 500, 3_000, 60_000])
        case 1:
            twins.greet()
        case 2:
            twins.welcome(
                Welcome(
                    chance.choice([twins.power_on_id] * 9 + [5]),
                    EPOCH_S + chance.randrange(3),
                    EPOCH_S * 1000 + twins.now_ms + chance.randrange(-500, 2_000),
                    chance.choice([*twins.asked_ms, *twins.asked_ms, None, twins.now_ms + 1]),
                )
            )
        case 3:
            result = chance.choice([AckResult.EXECUTED, AckResult.REFUSED, AckResult.FAILED])
            twins.end(command_id(chance.randrange(1, 12)), result, chance.choice(["", "jammed"]))
        case 4 if chance.random() < 0.3:
            twins.lose_power()
        case 5:
            twins.report()
        case _:
            twins.hear(
                Command(
                    command_id(chance.randrange(1, 12)),
                    EPOCH_S + chance.randrange(3),
                    chance.randrange(1, 20),
                    EPOCH_S + twins.now_ms // 1000 + chance.randrange(-2, 8),
                    chance.choice(list(CommandKind)),
                    chance.randrange(4),
                )
            )


@given(seed=st.integers(0, 2**32))
def test_whatever_happens_both_answer_and_remember_the_same(device: DeviceInC, seed: int) -> None:
    chance = Random(seed)
    twins = Twins(device, chance)
    for _ in range(60):
        one_step(twins, chance)


def test_a_command_is_obeyed_once_and_its_repetition_gets_the_answer_of_the_moment(device: DeviceInC) -> None:
    twins = welcomed(device)
    assert twins.hear(unlock(1, fence=1)) == OBEY
    assert twins.hear(unlock(1, fence=1)) == SAY_AGAIN
    twins.end(command_id(1), AckResult.EXECUTED)
    assert twins.hear(unlock(1, fence=1)) == SAY_AGAIN
    twins.lose_power()
    assert twins.hear(unlock(1, fence=1)) == SAY_AGAIN


def test_no_command_is_obeyed_from_its_last_second_on(device: DeviceInC) -> None:
    twins = welcomed(device)
    # Two milliseconds are kept in hand for the rounding of both clocks.
    twins.now_ms = 10_000 - 3
    assert twins.hear(unlock(1, fence=1)) == OBEY
    twins.now_ms += 1
    assert twins.hear(unlock(2, fence=2)) == REFUSE


def test_what_a_report_has_said_is_past(device: DeviceInC) -> None:
    twins = welcomed(device)
    twins.now_ms = 1_000
    twins.greet()
    twins.now_ms = 10_050
    twins.report()
    # The better time says that there are 500 ms left, but the report has proved that the command was not done.
    twins.welcome(Welcome(twins.power_on_id, EPOCH_S, EPOCH_S * 1000 + 400, 1_000))
    assert twins.hear(unlock(1, fence=1)) == REFUSE


@pytest.mark.parametrize("kind", [CommandKind.LOCATE, CommandKind.QUERY])
def test_what_was_refused_stays_refused_though_no_fence_stops_it(
    device: DeviceInC, kind: CommandKind
) -> None:
    twins = welcomed(device)
    twins.now_ms = 2_000
    twins.greet()
    twins.now_ms = 10_000
    locate = Command(command_id(1), EPOCH_S, 1, EPOCH_S + 10, kind)
    assert twins.hear(locate) == REFUSE
    # The better time says that there are 1500 ms left.
    twins.welcome(Welcome(twins.power_on_id, EPOCH_S, EPOCH_S * 1000 + 500, 2_000))
    assert twins.hear(locate) == SAY_AGAIN
    twins.lose_power()
    assert twins.hear(locate) == SAY_AGAIN


def test_before_the_welcome_a_device_says_nothing(device: DeviceInC) -> None:
    assert Twins(device, Random(1)).hear(unlock(1, fence=1)) == SAY_NOTHING


def test_the_last_64_are_remembered_and_older_ones_stopped_by_their_fence(device: DeviceInC) -> None:
    twins = welcomed(device)
    for number in range(1, REMEMBERED_COMMANDS + 2):
        assert twins.hear(unlock(number, fence=number)) == OBEY
    assert twins.hear(unlock(2, fence=2)) == SAY_AGAIN
    assert twins.hear(unlock(1, fence=1)) == REFUSE


def test_what_power_interrupts_is_over(device: DeviceInC) -> None:
    twins = welcomed(device)
    assert twins.hear(unlock(1, fence=5)) == OBEY
    assert device.ask("fences", 0) == ["5", "0"]
    twins.lose_power()
    assert device.ask("fences", 0) == ["5", "5"]
