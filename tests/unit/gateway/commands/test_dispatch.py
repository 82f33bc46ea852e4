"""From an issued command to its frames, through every crash."""

from collections.abc import Callable

import pytest
from msgspec import structs

from firmware_protocol.commands import AckResult, CommandKind
from firmware_protocol.messages import Bolt, Lock, Report
from gateway.command_ports import CommandRecord
from gateway.commands import dispatch
from gateway.core.command import Phase
from gateway.core.device import Status
from gateway.ports import StoreUnavailable
from tests.support.fakes.command_gateway import CommandGateway


async def test_sent_is_recorded_before_a_byte_leaves() -> None:
    gateway = CommandGateway()
    await gateway.sent()
    order = [
        one for one in gateway.interruptions.passed if one in ("commands.claim:done", "link.publish_command")
    ]
    assert order == ["commands.claim:done", "link.publish_command"]


async def test_who_reads_reports_hears_of_each_frame_that_has_left() -> None:
    gateway = CommandGateway()
    left: list[int] = []
    gateway.dispatch.published = lambda: left.append(len(gateway.link.published))
    await gateway.sent()
    assert left == [1]


async def test_the_frame_says_what_was_issued() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    (heard,) = gateway.heard()
    assert heard.command_id == command.command_id.bytes
    assert (heard.fence, heard.boot, heard.not_after_s * 1000) == (1, command.boot, command.not_after_ms)


async def test_one_shots_leave_with_qos_0_and_all_others_with_qos_1() -> None:
    gateway = CommandGateway()
    await gateway.sent()
    locate = await gateway.sent(CommandKind.LOCATE)
    assert [tag for _, _, tag in gateway.link.published] == [None, locate.command_id]


async def test_the_same_bytes_go_out_again_until_the_deadline() -> None:
    gateway = CommandGateway()
    command = await gateway.sent(ttl_s=10)
    for _ in range(14):
        await gateway.wait(1_000)
    assert len(gateway.link.published) == 5
    assert len({frame for _, frame, _ in gateway.link.published}) == 1
    assert gateway.phase(command) is Phase.UNCONFIRMED
    assert gateway.story(command).count("published_again") == 4


async def test_an_answer_ends_the_repetitions() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    await gateway.answer(command, AckResult.ACCEPTED)
    await gateway.wait(3_000)
    assert len(gateway.link.published) == 1


async def test_what_was_never_sent_expires() -> None:
    gateway = CommandGateway()
    command = await gateway.issued()
    gateway.registry.put(structs.replace(gateway.device, status=Status.SUSPENDED))
    await gateway.wait(11_000)
    assert (gateway.phase(command), gateway.row(command).reason) == (Phase.EXPIRED, "not_sent")
    assert gateway.link.published == []


async def test_a_claim_that_comes_back_too_late_is_not_published() -> None:
    """The process was paused between the commit and the first byte."""
    gateway = CommandGateway()
    gateway.interruptions.raise_always("commands.claim:done", lambda: _do(gateway.clock.advance, ms=30_000))
    command = await gateway.sent()
    gateway.interruptions.heal()
    await gateway.wait(1)
    assert gateway.link.published == []
    assert gateway.phase(command) is Phase.UNCONFIRMED


async def test_a_lane_that_was_lost_meanwhile_publishes_nothing() -> None:
    gateway = CommandGateway()
    gateway.interruptions.raise_always("commands.claim:done", lambda: _do(gateway.link.leases.clear))
    await gateway.sent()
    assert gateway.link.published == []


async def test_a_claim_that_comes_back_to_a_lane_lost_and_taken_again_sends_nothing() -> None:
    """Between the two leases another may have sent it, and seen it done; the take-over reads what has become of it."""
    gateway = CommandGateway()
    gateway.interruptions.raise_always(
        "commands.claim:done", lambda: _do(_take_again, gateway=gateway, lease_no=2)
    )
    command = await gateway.sent()
    assert (gateway.row(command).lease_no, gateway.link.published) == (1, [])
    gateway.interruptions.heal()
    await gateway.wait(300)
    await gateway.wait(300)
    assert len(gateway.link.published) == 1
    assert gateway.counters.frames == [True]


async def test_a_doubtful_claim_that_another_lease_made_is_the_take_overs_to_repeat() -> None:
    gateway = CommandGateway()
    command = await gateway.issued()
    gateway.interruptions.raise_always("commands.claim", lambda: StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await gateway.dispatch.turn()
    gateway.interruptions.heal()
    await gateway.commands.claim([command], "another", dict.fromkeys(range(16), 2), gateway.clock.now_ms())
    _take_again(gateway, lease_no=3)
    await gateway.wait(300)
    await gateway.wait(300)
    assert gateway.row(command).lease_no == 2
    assert len(gateway.link.published) == 1


async def test_a_claim_whose_answer_was_lost_is_published_once_it_is_known() -> None:
    gateway = CommandGateway()
    command = await gateway.issued()
    gateway.interruptions.raise_always("commands.claim:done", lambda: StoreUnavailable("lost"))
    with pytest.raises(StoreUnavailable):
        await gateway.dispatch.turn()
    assert (gateway.phase(command), gateway.link.published) == (Phase.SENT, [])
    gateway.interruptions.heal()
    await gateway.wait(500)
    assert len(gateway.link.published) == 1


@pytest.mark.parametrize(("model", "copies"), [("bike", 1), ("odd", 0), ("twice", 0)])
async def test_a_crash_between_record_and_publish_repeats_only_what_is_safe_to_repeat(
    model: str, copies: int
) -> None:
    gateway = CommandGateway(model)
    if model == "odd":
        command = await _sent_to_odd(gateway)
    else:
        command = await gateway.sent()
    before = len(gateway.link.published)
    gateway.restart()
    await gateway.wait(500)
    await gateway.wait(1)
    again = gateway.link.published[before:]
    assert len(again) == copies
    assert all(frame == gateway.link.published[before - 1][1] for _, frame, _ in again)
    await gateway.wait(20_000)
    assert gateway.phase(command) is Phase.UNCONFIRMED


async def test_a_model_that_ignores_expiry_is_asked_first_and_told_once() -> None:
    gateway = CommandGateway("odd")
    command = await _sent_to_odd(gateway)
    assert [one.kind for one in gateway.heard()] == [CommandKind.QUERY, CommandKind.UNLOCK]
    await gateway.wait(2_000)
    assert len(gateway.link.published) == 2
    assert "probed" in gateway.story(command)


async def test_an_old_answer_to_a_probe_lets_nothing_through() -> None:
    gateway = CommandGateway("odd")
    command = await gateway.sent()
    gateway.clock.advance(ms=5_000)
    await gateway.answer(command, command_id=gateway.heard()[0].command_id)
    await gateway.wait(1_000)
    assert {one.kind for one in gateway.heard()} == {CommandKind.QUERY}
    await gateway.wait(20_000)
    assert (gateway.phase(command), gateway.row(command).reason) == (Phase.EXPIRED, "no_probe_answer")


async def test_a_model_whose_acks_name_nothing_gets_one_command_at_a_time() -> None:
    gateway = CommandGateway("mute")
    first = await gateway.sent()
    second = await gateway.sent(CommandKind.LOCATE)
    assert gateway.phase(second) is Phase.ISSUED
    await gateway.answer(first, AckResult.FAILED, command_id=bytes(16), reason="jammed")
    assert gateway.phase(first) is Phase.FAILED
    await gateway.wait(1_000)
    assert gateway.phase(second) is Phase.SENT


async def test_a_fresh_process_reads_devices_and_models_before_it_resumes() -> None:
    gateway = CommandGateway()
    await gateway.sent()
    gateway.restart()
    passed = len(gateway.interruptions.passed)
    await gateway.wait(500)
    points = gateway.interruptions.passed[passed:]
    assert points.index("commands.open_of") < points.index("registry.load") < points.index("keys.load")


async def test_a_link_that_is_down_is_tried_again() -> None:
    gateway = CommandGateway()
    gateway.link.up = False
    await gateway.sent()
    gateway.link.up = True
    await gateway.wait(1_000)
    assert len(gateway.link.published) == 1


async def test_an_unconfirmed_command_is_abandoned_after_a_day() -> None:
    gateway = CommandGateway()
    command = await gateway.sent()
    await gateway.wait(13_000)
    await gateway.wait(24 * 3600 * 1000)
    assert gateway.phase(command) is Phase.ABANDONED
    gateway.report(Report(lock=Lock(Bolt.CLOSED, 1, 100)))
    assert (await gateway.issued()).fence == 2


async def test_nothing_is_due_before_the_next_poll_when_nothing_is_open() -> None:
    gateway = CommandGateway()
    await gateway.dispatch.turn()
    await gateway.dispatch.turn()
    assert gateway.dispatch.next_due_ms() > gateway.clock.now_ms()


async def test_a_command_that_the_notice_tells_needs_no_look() -> None:
    gateway = CommandGateway()
    await gateway.dispatch.turn()
    command = await gateway.issued()
    gateway.interruptions.passed.clear()
    gateway.dispatch.noticed(command)
    await gateway.dispatch.turn()
    assert gateway.phase(command) is Phase.SENT
    assert "commands.waiting" not in gateway.interruptions.passed
    gateway.dispatch.noticed(command)
    await gateway.dispatch.turn()
    assert len(gateway.link.published) == 1


async def test_a_notice_about_another_ones_lane_is_no_word_about_ours() -> None:
    gateway = CommandGateway()
    command = await gateway.issued()
    gateway.dispatch.noticed(command)
    assert len(gateway.open) == 0


async def test_what_is_open_is_walked_over_a_few_times_a_second() -> None:
    gateway = CommandGateway()
    await gateway.sent()
    await gateway.wait(1_500)
    due_ms = gateway.dispatch.next_due_ms() - gateway.clock.now_ms()
    assert 0 < due_ms <= dispatch.SWEEP_MS + 1


async def test_the_word_of_the_broker_is_a_line() -> None:
    gateway = CommandGateway()
    command = await gateway.sent(CommandKind.LOCATE)
    gateway.dispatch.broker_acked(command.command_id)
    await gateway.wait(1_000)
    assert "broker_ack" in gateway.story(command)


def _do(act: Callable[..., None], **arguments: int | CommandGateway) -> None:
    act(**arguments)


def _take_again(gateway: CommandGateway, lease_no: int) -> None:
    """The lanes were another's for a moment."""
    gateway.dispatch.lanes_lost(range(16))
    gateway.link.leases = dict.fromkeys(range(16), lease_no)
    gateway.dispatch.lanes_taken(range(16))


async def _sent_to_odd(gateway: CommandGateway) -> CommandRecord:
    command = await gateway.sent()
    await gateway.answer(command, command_id=gateway.heard()[0].command_id)
    await gateway.wait(300)
    assert gateway.phase(command) is Phase.SENT
    return command
