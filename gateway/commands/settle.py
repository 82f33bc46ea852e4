"""Settles commands by what sensors say, whatever the device said about them."""

from collections.abc import Sequence, Set
from functools import partial
from uuid import UUID

from firmware_protocol.commands import CommandKind
from firmware_protocol.topics import shard_of
from gateway.commands.frames import ordered
from gateway.commands.in_flight import WATCH_MS
from gateway.commands.moves import MovePorts, Telling, tell
from gateway.commands.open_commands import OpenCommand
from gateway.commands.story import Story
from gateway.core.command import OPENING, Happening, Phase
from gateway.core.device import DeviceRecord
from gateway.core.evidence import (
    Contradicts,
    Done,
    DoneLate,
    NotDone,
    Ordered,
    Verdict,
    done_after_all,
    executed_twice,
    judge,
)
from gateway.core.stamped import StampedReport
from gateway.evidence import Offered

WITHOUT_QUESTION = frozenset({Phase.CONFIRMED, Phase.EXECUTED_LATE})
"""Settled as done: only a second opening could still be news."""

NEVER_SENT = frozenset({Phase.ISSUED, Phase.EXPIRED, Phase.CANCELLED})


class SettleByEvidence:
    """Implements `EvidenceSink` and `BootSink` over the commands of our lanes."""

    def __init__(self, ports: MovePorts) -> None:
        self._ports = ports

    @property
    def open_devices(self) -> Set[int]:
        return self._ports.open.devices

    async def offer(self, offered: Sequence[Offered]) -> None:
        """Every report is held against every command of its device. Raises StoreUnavailable."""
        known = self._ports.open
        tellings: dict[UUID, Telling] = {}
        for device, reports in offered:
            if shard_of(device.device_id) not in known.lanes:
                # The lane was lost while the batch was in hand: whoever has it now hears the report again.
                continue
            sent = [one for one in known.of_device(device.device_no) if one.record.phase not in NEVER_SENT]
            for one in sent:
                tellings[one.record.command_id] = partial(_tell_reports, reports, _later_openings(one, sent))
        if tellings:
            await tell(tellings, self._ports)

    async def booted(self, devices: Sequence[DeviceRecord], at_ms: int) -> None:
        """These have boot numbers, perhaps new ones: that is what a REBOOT is for. Raises StoreUnavailable."""
        tellings: dict[UUID, Telling] = {
            one.record.command_id: partial(_tell_boot, at_ms)
            for device in devices
            for one in self._ports.open.of_device(device.device_no)
            if one.record.kind is CommandKind.REBOOT and one.record.boot < device.boot
        }
        if tellings:
            await tell(tellings, self._ports)


def _tell_boot(at_ms: int, story: Story, one: OpenCommand) -> None:
    story.happens(Happening.DONE, at_ms, "evidence", {"why": "new_boot"})


def _later_openings(one: OpenCommand, sent: Sequence[OpenCommand]) -> int:
    """How many later commands that open the same place are out, or were."""
    return sum(
        other.record.slot == one.record.slot
        and other.record.fence > one.record.fence
        and other.record.kind in OPENING
        for other in sent
    )


def _is_watched(one: OpenCommand, stamped: StampedReport) -> bool:
    """Of what was settled longer ago, later commands for the same place are not known any more."""
    settled_ms = one.record.settled_ms
    return settled_ms is None or stamped.received_ms - settled_ms < WATCH_MS


def _tell_reports(reports: Sequence[StampedReport], later: int, story: Story, one: OpenCommand) -> None:
    for stamped in reports:
        command = ordered(one.record, story.phase)
        if not story.is_settled:
            verdict = judge(command, stamped, undone_after=one.undone, overtaken=later > 0)
            _settle(verdict, stamped, story, one)
        elif not _is_watched(one, stamped):
            return
        elif not later:
            _look_back(command, stamped, story)
        if executed_twice(command, stamped, later=later):
            story.incident("executed_twice", stamped.received_ms, {"seq": stamped.seq})


def _settle(verdict: Verdict, stamped: StampedReport, story: Story, one: OpenCommand) -> None:
    at_ms, seen = stamped.received_ms, {"seq": stamped.seq, "made_ms": stamped.at_ms}
    match verdict:
        case Done():
            story.happens(Happening.DONE, at_ms, "evidence", {**seen, "why": verdict.why})
        case DoneLate():
            if story.happens(Happening.DONE_LATE, at_ms, "evidence", {**seen, "why": verdict.why}):
                story.incident("executed_late", at_ms, {"seq": stamped.seq})
        case Contradicts():
            if story.happens(Happening.NOT_DONE, at_ms, "contradiction", seen, reason=verdict.why):
                story.incident("evidence_contradicts_ack", at_ms, {"why": verdict.why})
        case NotDone():
            one.undone = True
            story.happens(Happening.NOT_DONE, at_ms, "evidence", seen, reason=verdict.why)
        case _:
            pass


def _look_back(command: Ordered, stamped: StampedReport, story: Story) -> None:
    """A command that was settled as not done, and is done after all."""
    if story.phase not in WITHOUT_QUESTION and done_after_all(command, stamped):
        kind = {Phase.ABANDONED: "executed_after_all", Phase.REFUSED: "evidence_contradicts_ack"}
        detail = {"phase": story.phase.value, "seq": stamped.seq}
        story.incident(kind.get(story.phase, "executed_late"), stamped.received_ms, detail)
