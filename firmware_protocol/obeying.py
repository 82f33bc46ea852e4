"""What a correct device makes of commands: verify, judge, remember, act once, answer always the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from firmware_protocol import topics
from firmware_protocol.commands import FENCED, Ack, AckResult, Command
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.effects import Effect, Execute, Publish, Remember
from firmware_protocol.limits import REMEMBERED_COMMANDS
from firmware_protocol.messages import DeviceId, Report, Slot, Welcome
from firmware_protocol.server_clock import ServerClock
from firmware_protocol.signature import sign_ack, verify_command, verify_welcome
from firmware_protocol.verdict import Verdict, judge

SLOW_WELCOME_MS = 2_000
"""The time is known as exactly as hello and welcome were quick; a command of ten seconds can spare two."""


@dataclass(frozen=True, slots=True)
class SlotFences:
    """The fences of one slot."""

    taken: int = 0
    """Used up: only a higher one is obeyed."""
    over: int = 0
    """Of the last command that was carried out, whatever came of it: what reports say as `last_fence`."""


@dataclass(frozen=True, slots=True)
class Obeyed:
    """What must outlive a loss of power for commands to be obeyed once."""

    answers: tuple[Ack, ...] = ()
    """Oldest first; ACCEPTED means that power went before the end was known."""
    fences: tuple[tuple[int, SlotFences], ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, on the device's own clock, and under which boot number since when."""

    now_ms: int
    boot: int
    elapsed_ms: int | None
    said_ms: int
    """The latest time that any report under this boot number says: a command that expired before it must not be
    obeyed any more, since that report proves to the gateway that it was not."""


class Obeying:
    """The half of a device that holds keys; without one it hears no command and trusts no signed welcome."""

    def __init__(self, device_id: DeviceId, keys: Sequence[DeviceKey], before: Obeyed) -> None:
        self._device_id: Final = device_id
        self._ack_topic: Final = topics.ack_topic(device_id)
        self._clock: Final = ServerClock()
        self._answers: Final = {answer.command_id: answer for answer in before.answers}
        self._fences: Final = dict(before.fences)
        self._unsent: list[Ack] = []
        self._keys: tuple[DeviceKey, ...] = ()
        self.rekey(keys)
        for answer in before.answers:
            # What power interrupted is over: from here on the counter of openings tells whether it opened.
            if answer.result is AckResult.ACCEPTED:
                self._end(answer)

    @property
    def has_key(self) -> bool:
        return bool(self._keys)

    def rekey(self, keys: Sequence[DeviceKey]) -> None:
        """The keys from now on. During a rotation both are held: all verify, the one of the highest number signs."""
        self._keys = tuple(sorted(keys, key=lambda key: key.number, reverse=True))

    def remember(self) -> Obeyed:
        """As it must stand in flash before a command is carried out."""
        return Obeyed(tuple(self._answers.values()), tuple(self._fences.items()))

    def time_stale_at_ms(self) -> int | None:
        """When to say hello for the time's sake; None while there is no need."""
        return self._clock.stale_at_ms() if self._keys else None

    def open_welcome(self, frame: bytes) -> Welcome | None:
        """A signed welcome, when it says which hello it answers. Raises MalformedFrame | BadSeal."""
        welcome = verify_welcome(frame, device_id=self._device_id, keys=self._keys)
        return None if welcome.hello_sent_ms is None else welcome

    def welcomed(self, welcome: Welcome, now_ms: int) -> bool:
        """The welcome was for this power-on: it tells the time. False when so roughly that it is worth another
        hello."""
        if not self._keys or welcome.hello_sent_ms is None:
            return True
        self._clock.heard(welcome.server_time_ms, welcome.hello_sent_ms, now_ms)
        return now_ms - welcome.hello_sent_ms <= SLOW_WELCOME_MS

    def heard(self, frame: bytes, moment: Moment) -> list[Effect]:
        """A frame came on the `cmd` topic. Raises MalformedFrame | BadSeal: to that a device says nothing."""
        command = verify_command(frame, device_id=self._device_id, keys=self._keys)
        stored = self._answers.get(command.command_id)
        if stored is not None:
            return [self._publish(stored)]
        fences = self._fences.get(command.slot, SlotFences())
        clock_ms = self._clock.at_most_ms(moment.now_ms)
        server_ms = None if clock_ms is None else max(clock_ms, moment.said_ms)
        answer = Ack(command.command_id, AckResult.ACCEPTED, moment.boot, command.fence, command.slot)
        match judge(command, boot=moment.boot, server_ms=server_ms, taken_fence=fences.taken):
            case Verdict.OBEY:
                self._take(command)
                self._store(answer)
                return [Remember(), self._publish(answer), Execute(command)]
            case Verdict.NOT_YET:
                return []
            case Verdict.EXPIRED:
                # The next welcome may show that it was not: what is refused must stay refused.
                self._take(command)
                refused = _refused(answer, Verdict.EXPIRED)
                if command.kind not in FENCED:
                    # No fence stops its next copy.
                    self._store(refused)
                return [Remember(), self._publish(refused)]
            case (Verdict.WRONG_BOOT | Verdict.OLD_FENCE) as verdict:
                return [self._publish(_refused(answer, verdict))]

    def executed(
        self, command_id: bytes, result: AckResult, reason: str | None, moment: Moment
    ) -> list[Effect]:
        """The end of an Execute, which is the answer from now on; `unsent` has it. Of a command that is not being
        carried out it changes nothing."""
        accepted = self._answers.get(command_id)
        if accepted is None or accepted.result is not AckResult.ACCEPTED:
            return []
        boot, elapsed_ms = moment.boot, moment.elapsed_ms
        answer = replace(accepted, result=result, reason=reason, boot=boot, elapsed_ms=elapsed_ms)
        self._answers[command_id] = answer
        self._unsent.append(answer)
        if result is not AckResult.REFUSED:
            self._end(answer)
        return [Remember()]

    def unsent(self) -> list[Effect]:
        """The answers that nobody asked for yet: to be called while there is a link."""
        answers, self._unsent = self._unsent, []
        return [self._publish(answer) for answer in answers]

    def with_last_fences(self, report: Report) -> Report:
        """The report saying of lock and slots which command was the last that was carried out there."""
        if not self._fences:
            return report
        lock, slots = report.lock, report.slots
        if lock is not None and 0 in self._fences:
            lock = replace(lock, last_fence=max(lock.last_fence, self._fences[0].over))
        return replace(report, lock=lock, slots=tuple(self._with_last_fence(slot) for slot in slots))

    def _with_last_fence(self, slot: Slot) -> Slot:
        fences = self._fences.get(slot.number)
        return slot if fences is None else replace(slot, last_fence=max(slot.last_fence, fences.over))

    def _take(self, command: Command) -> None:
        """Its fence is used up."""
        if command.kind in FENCED:
            fences = self._fences.get(command.slot, SlotFences())
            self._fences[command.slot] = SlotFences(max(fences.taken, command.fence), fences.over)

    def _end(self, answer: Ack) -> None:
        """It was carried out, or is over for want of power."""
        fences = self._fences.get(answer.slot, SlotFences())
        # Kinds without a fence took none, and leave no mark.
        if fences.over < answer.fence <= fences.taken:
            self._fences[answer.slot] = SlotFences(fences.taken, answer.fence)

    def _store(self, answer: Ack) -> None:
        if len(self._answers) >= REMEMBERED_COMMANDS:
            del self._answers[next(iter(self._answers))]
        self._answers[answer.command_id] = answer

    def _publish(self, answer: Ack) -> Publish:
        return Publish(self._ack_topic, sign_ack(answer, device_id=self._device_id, key=self._keys[0]), 1)


def _refused(answer: Ack, verdict: Verdict) -> Ack:
    return replace(answer, result=AckResult.REFUSED, reason=str(verdict))
