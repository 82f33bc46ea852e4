"""A device obeys once, in time, in order, and answers always the same."""

from random import Random

import pytest

from firmware_protocol import codec
from firmware_protocol.codec import Encoding
from firmware_protocol.commands import AckResult, CommandKind
from firmware_protocol.cose import seal
from firmware_protocol.device_session import DeviceSession, Identity
from firmware_protocol.effects import Execute, Publish, Remember
from firmware_protocol.limits import REMEMBERED_COMMANDS
from firmware_protocol.messages import Welcome
from firmware_protocol.server_clock import FRESH_FOR_MS
from firmware_protocol.signature import sign_command
from tests.unit.firmware_protocol.obeying_world import (
    COMMAND,
    DEVICE,
    EPOCH_MS,
    HELLO,
    KEY,
    NEXT_KEY,
    WELCOME,
    ObeyingWorld,
)

ACCEPTED, EXECUTED, REFUSED, FAILED = AckResult
UNLOCK = CommandKind.UNLOCK


@pytest.fixture
def world() -> ObeyingWorld:
    welcomed = ObeyingWorld(Random(1))
    welcomed.welcome()
    return welcomed


def test_a_command_is_accepted_carried_out_and_answered(world: ObeyingWorld) -> None:
    command = world.issue(UNLOCK)
    (accepted,) = world.deliver()
    assert (accepted.result, accepted.boot, accepted.fence) == (ACCEPTED, world.boot, command.fence)
    assert world.flash.obeyed.answers == (accepted,), "in flash before it was carried out"
    world.tick(700)
    world.finish()
    executed = world.acks[-1]
    assert (executed.result, executed.command_id) == (EXECUTED, command.command_id)
    assert world.boot * 1000 + (executed.elapsed_ms or 0) == world.true_ms


def test_flash_comes_before_the_answer_and_the_answer_before_the_act(world: ObeyingWorld) -> None:
    command = world.issue(UNLOCK)
    effects = world.session.received(*world.downward[-1], world.now_ms)
    assert [type(effect) for effect in effects] == [Remember, Publish, Execute]
    assert world.session.remember().obeyed.answers[-1].command_id == command.command_id
    ended = world.session.executed(command.command_id, EXECUTED, world.now_ms)
    assert [type(effect) for effect in ended] == [Remember, Publish]
    assert {effect.qos for effect in (*effects, *ended) if isinstance(effect, Publish)} == {1}


def test_a_repetition_is_answered_and_not_carried_out(world: ObeyingWorld) -> None:
    world.issue(UNLOCK)
    (accepted,) = world.deliver()
    assert world.deliver() == [accepted], "while it is being carried out"
    world.tick(500)
    world.finish(FAILED, reason="jammed")
    failed = world.acks[-1]
    world.tick(60_000)
    assert world.deliver() == [failed], "long after it expired too: the same answer"
    assert len(world.deeds) == 1


def test_an_end_is_told_once_and_only_of_what_was_begun(world: ObeyingWorld) -> None:
    world.issue(UNLOCK)
    (accepted,) = world.deliver()
    world.finish()
    session = world.session
    assert session.executed(accepted.command_id, FAILED, world.now_ms) == []
    assert session.executed(b"x" * 16, EXECUTED, world.now_ms) == []
    assert world.deliver()[0].result is EXECUTED


@pytest.mark.parametrize("late_ms", [0, 1, 7_200_000])
def test_an_expired_command_is_refused(world: ObeyingWorld, late_ms: int) -> None:
    world.issue(UNLOCK, ttl_s=10)
    world.tick(10_000 + late_ms)
    (refused,) = world.deliver()
    assert (refused.result, refused.reason, world.deeds) == (REFUSED, "expired", [])


@pytest.mark.parametrize("kind", [UNLOCK, CommandKind.LOCATE, CommandKind.QUERY])
def test_a_refusal_stays_true_when_the_time_turns_out_to_be_earlier(kind: CommandKind) -> None:
    world = ObeyingWorld(Random(1))
    world.tick(8_000)
    world.hear_hello(0)
    world.deliver()
    command = world.issue(kind, ttl_s=5)
    (refused,) = world.deliver()
    assert refused.reason == "expired", "its hello took eight seconds, so it may be that late"
    world.hear_hello(-1)
    world.deliver()
    (again,) = world.deliver(-2)
    assert (again.command_id, again.result, world.deeds) == (command.command_id, REFUSED, [])
    world.issue(UNLOCK, ttl_s=5)
    assert world.deliver()[0].result is ACCEPTED


def test_a_rough_idea_of_the_time_is_asked_for_again_until_it_is_better() -> None:
    world = ObeyingWorld(Random(1))
    world.tick(3_000)
    world.hear_hello(0)
    world.deliver()
    said = len(world.hellos)
    wake_ms = world.session.next_wakeup_ms()
    assert wake_ms is not None
    assert wake_ms <= world.now_ms + 12_500
    loose = world.reported()
    world.tick(wake_ms - world.now_ms)
    assert len(world.hellos) == said + 1
    world.welcome()
    world.tick(60_000)
    assert len(world.hellos) == said + 1, "now it is known well enough"
    report = world.reported()
    assert report.boot * 1000 + (report.elapsed_ms or 0) == world.true_ms
    assert loose.boot * 1000 + (loose.elapsed_ms or 0) >= EPOCH_MS + 6_000, "three seconds ahead"


def test_what_a_report_proves_not_done_is_not_done_later() -> None:
    world = ObeyingWorld(Random(1))
    world.tick(8_000)
    world.hear_hello(0)
    world.deliver()
    world.issue(UNLOCK, ttl_s=7)
    loose = world.reported()
    assert loose.boot * 1000 + (loose.elapsed_ms or 0) == world.true_ms + 8_000
    world.carry_out(world.session.rekey(world.keys, world.now_ms))
    world.welcome()
    (refused,) = world.deliver(-2)
    assert (refused.reason, world.deeds) == ("expired", [])
    world.tick(9_000)
    world.issue(UNLOCK, ttl_s=7)
    assert world.deliver()[0].result is ACCEPTED, "once that time is over"


def test_fences_count_per_slot(world: ObeyingWorld) -> None:
    for slot in (1, 2, 1):
        world.issue(CommandKind.EJECT, slot=slot, ttl_s=60)
    assert world.deliver(-1)[0].result is ACCEPTED
    assert world.deliver(-2)[0].result is ACCEPTED, "another slot"
    (refused,) = world.deliver(-3)
    assert (refused.result, refused.reason) == (REFUSED, "old_fence")
    world.lose_power(with_flash=True)
    assert dict(world.flash.obeyed.fences)[1].taken == 3


def test_a_fence_that_leaves_no_mark_blocks_nothing(world: ObeyingWorld) -> None:
    world.issue(UNLOCK)
    world.issue(CommandKind.LOCATE)
    assert world.deliver(-1)[0].result is ACCEPTED
    assert world.deliver(-2)[0].result is ACCEPTED
    world.issue(CommandKind.QUERY)
    world.issue(UNLOCK)
    assert world.deliver(-1)[0].result is ACCEPTED
    assert world.deliver(-2)[0].result is ACCEPTED, "though its fence is lower"


def test_after_a_loss_of_power_the_stored_answer_is_given_again(world: ObeyingWorld) -> None:
    world.issue(UNLOCK, ttl_s=60)
    world.deliver()
    world.finish()
    executed = world.acks[-1]
    world.lose_power(with_flash=True)
    assert world.deliver() == [executed], "before the welcome"
    world.welcome()
    assert world.deliver(-2) == [executed], "and after it, though its boot number is old"
    assert len(world.deeds) == 1


def test_what_power_interrupted_is_over_and_the_openings_tell_what_came_of_it(world: ObeyingWorld) -> None:
    command = world.issue(UNLOCK, ttl_s=60)
    world.deliver()
    before = world.reported().lock
    assert before is not None
    assert before.last_fence == 0, "not over yet"
    world.lose_power(with_flash=True)
    assert world.deliver()[0].result is ACCEPTED, "nobody knows better"
    world.welcome()
    after = world.reported().lock
    assert after is not None
    assert (after.last_fence, after.openings) == (command.fence, 1)


def test_a_device_that_lost_its_flash_is_protected_by_its_new_boot_number(world: ObeyingWorld) -> None:
    world.issue(UNLOCK, ttl_s=60)
    world.deliver()
    world.lose_power(with_flash=False)
    assert world.deliver() == [], "no boot number yet: silence"
    world.welcome()
    (refused,) = world.deliver(-2)
    assert (refused.result, refused.reason, refused.boot) == (REFUSED, "wrong_boot", world.boot)
    assert len(world.deeds) == 1


def test_a_command_that_overtakes_its_welcome_is_obeyed_when_it_comes_again() -> None:
    world = ObeyingWorld(Random(1))
    world.hear_hello()
    world.issue(UNLOCK)
    assert world.deliver() == []
    world.deliver(-2)
    assert world.deliver()[0].result is ACCEPTED


def test_a_report_says_the_last_fence_that_was_carried_out(world: ObeyingWorld) -> None:
    first, second = world.issue(UNLOCK), world.issue(UNLOCK)
    world.deliver(-2)
    world.finish()
    world.deliver(-1)
    lock = world.reported().lock
    assert lock is not None
    assert lock.last_fence == first.fence, "the second is still being carried out"
    world.finish(REFUSED, reason="busy")
    assert (world.reported().lock or lock).last_fence == first.fence, "and was not"
    third = world.issue(CommandKind.LOCK)
    world.deliver()
    world.finish(FAILED)
    assert (world.reported().lock or lock).last_fence == third.fence > second.fence


def test_an_end_without_a_link_is_told_after_the_next_connect(world: ObeyingWorld) -> None:
    world.issue(UNLOCK)
    world.deliver()
    world.session.disconnected(world.now_ms)
    said = len(world.acks)
    world.finish()
    assert len(world.acks) == said
    world.connect()
    assert [ack.result for ack in world.acks[said:]] == [EXECUTED]
    world.cut()
    assert len(world.acks) == said + 1, "once"


def test_the_last_64_are_remembered_and_an_older_one_is_still_not_carried_out_again(
    world: ObeyingWorld,
) -> None:
    for _ in range(REMEMBERED_COMMANDS + 1):
        world.issue(UNLOCK, ttl_s=60)
        world.deliver()
        world.finish()
    assert len(world.flash.obeyed.answers) == REMEMBERED_COMMANDS
    assert world.deliver(-REMEMBERED_COMMANDS)[0].result is EXECUTED
    assert world.deliver(-REMEMBERED_COMMANDS - 1)[0].reason == "old_fence"
    assert len(world.deeds) == REMEMBERED_COMMANDS + 1


def test_during_a_rotation_both_keys_are_taken_and_the_new_one_signs(world: ObeyingWorld) -> None:
    world.issue(UNLOCK, key=NEXT_KEY)
    assert world.deliver() == [], "not known yet: silence"
    world.carry_out(world.session.rekey((KEY, NEXT_KEY), world.now_ms))
    world.keys = (NEXT_KEY, KEY)
    assert world.deliver()[0].result is ACCEPTED
    world.issue(UNLOCK, key=KEY)
    assert world.deliver()[0].result is ACCEPTED
    world.session.rekey((NEXT_KEY,), world.now_ms)
    world.issue(UNLOCK, key=KEY)
    assert world.deliver() == []


def test_a_device_with_a_key_ignores_plain_and_forged_welcomes() -> None:
    world = ObeyingWorld(Random(1))
    hello = codec.decode_hello(world.hellos[-1])
    welcome = Welcome(hello.power_on_id, 5, EPOCH_MS, hello.hello_sent_ms)
    forged = seal(b"\xa0", key=NEXT_KEY, aad=WELCOME.encode())
    frames = [*(codec.encode_welcome(welcome, encoding=encoding) for encoding in Encoding), forged]
    world.downward += [(WELCOME, frame) for frame in frames]
    for which in range(len(frames)):
        world.deliver(which)
    assert world.session.boot == 0
    world.welcome()
    assert world.session.boot == world.boot


def test_a_device_without_a_key_hears_no_command() -> None:
    session = DeviceSession(Identity(DEVICE, "bike-x1"), Random(1))
    world = ObeyingWorld(Random(1))
    world.boot = 5
    command = world.issue(UNLOCK)
    assert session.received(COMMAND, sign_command(command, device_id=DEVICE, key=KEY), 1) == []


def test_the_time_is_asked_for_anew_every_hour(world: ObeyingWorld) -> None:
    said = len(world.hellos)
    world.tick(FRESH_FOR_MS - 1)
    assert len(world.hellos) == said
    world.tick(1)
    assert len(world.hellos) == said + 1
    world.welcome()
    assert codec.decode_hello(world.hellos[-1]).hello_sent_ms == FRESH_FOR_MS
    assert world.session.boot == world.boot, "the same power-on, so the same number"
    assert HELLO.endswith("/hello")
