"""How a full device gets its boot number, and gives every report its stamp and its time."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from firmware_protocol.backoff import Chance
from firmware_protocol.messages import Report, ReportStamp, Welcome

FRESH_HELLO_AFTER_MS = 7 * 24 * 3600 * 1000
"""Row time is trusted up to eight days after the boot number was given."""


@dataclass(frozen=True, slots=True)
class _Boot:
    """A boot number, the id it was given to, and when its clock stood at zero."""

    number: int
    power_on_id: int
    zero_ms: int
    greeted_at_ms: int


@dataclass(frozen=True, slots=True)
class _Held:
    """A report made before any boot number was known."""

    report: Report
    made_at_ms: int


class Numbering:
    """The stamps of one power-on. Times are monotonic milliseconds of the device."""

    def __init__(self, chance: Chance, *, hold_at_most: int) -> None:
        self._chance = chance
        self._hold_at_most = hold_at_most
        self._held: list[_Held] = []
        self._boot: _Boot | None = None
        self._seq = 0
        self._hello_sent_ms = 0
        self._said_ms = 0
        self.power_on_id = chance.getrandbits(64)

    @property
    def boot(self) -> int:
        """The boot number in use; 0 before the first welcome."""
        return self._boot.number if self._boot else 0

    def elapsed_ms(self, now_ms: int) -> int | None:
        """Since the boot number was given; None while there is none."""
        return None if self._boot is None else now_ms - self._boot.zero_ms

    @property
    def said_ms(self) -> int:
        """The latest Unix milliseconds that any report under this boot number says it was made at; 0 before one."""
        return self._said_ms

    def held(self) -> Iterator[Report]:
        """Reports that wait for a boot number, oldest first."""
        return (made.report for made in self._held)

    def stale_at_ms(self) -> int | None:
        """When the boot number in use is seven days old; None while there is none."""
        return None if self._boot is None else self._boot.greeted_at_ms + FRESH_HELLO_AFTER_MS

    def greet(self, now_ms: int) -> int:
        """A hello goes out now: the power-on id it carries, a new one when the boot number is old."""
        boot = self._boot
        if (
            boot
            and boot.power_on_id == self.power_on_id
            and now_ms >= boot.greeted_at_ms + FRESH_HELLO_AFTER_MS
        ):
            self.power_on_id = self._chance.getrandbits(64)
        self._hello_sent_ms = now_ms
        return self.power_on_id

    def welcome(self, welcome: Welcome) -> bool:
        """Takes the boot number. False when the welcome is not for this power-on, or not a rising one."""
        if welcome.power_on_id != self.power_on_id:
            return False
        sent_ms = self._hello_sent_ms if welcome.hello_sent_ms is None else welcome.hello_sent_ms
        if sent_ms > self._hello_sent_ms:
            return False
        if self._boot is not None and welcome.boot <= self._boot.number:
            return self._welcome_again(self._boot, welcome, sent_ms)
        # The server's time says how old the boot number is by now; the rest is counted from when the answered hello
        # was sent: the newest, unless the welcome says which.
        self._boot = _Boot(welcome.boot, welcome.power_on_id, _zero_ms(welcome, sent_ms), self._hello_sent_ms)
        self._seq = 0
        self._said_ms = 0
        return True

    def _welcome_again(self, boot: _Boot, welcome: Welcome, sent_ms: int) -> bool:
        """A number that does not rise could only repeat stamps, unless it is the same answer again."""
        if welcome.boot != boot.number or welcome.power_on_id != boot.power_on_id:
            return False
        if welcome.hello_sent_ms is not None:
            # The clock runs ahead by what a hello was on its way: the least of them counts.
            self._boot = dataclasses.replace(boot, zero_ms=max(boot.zero_ms, _zero_ms(welcome, sent_ms)))
        return True

    def hold(self, report: Report, now_ms: int) -> int:
        """Keeps a report until there is a boot number: every kept one, and the newest of the others, which takes
        no kept one's place. Returns how many kept ones were lost for it: 0 or 1."""
        self._held = [made for made in self._held if made.report.keep]
        lost = 0
        if report.keep and len(self._held) >= self._hold_at_most:
            del self._held[0]
            lost = 1
        self._held.append(_Held(report, now_ms))
        return lost

    def stamp(self, report: Report, made_at_ms: int, kept_lost: int) -> Report:
        """The report as it goes on the wire. Raises ValueError before there is a boot number."""
        if self._boot is None:
            raise ValueError("no boot number yet")
        self._seq += 1
        elapsed_ms = made_at_ms - self._boot.zero_ms
        self._said_ms = max(self._said_ms, self._boot.number * 1000 + elapsed_ms)
        return replace(
            report, boot=self._boot.number, seq=self._seq, elapsed_ms=elapsed_ms, kept_lost=kept_lost
        )

    def stamp_held(self, kept_lost: int) -> list[Report]:
        """Everything held, in the order it was made; nothing is held afterwards."""
        held, self._held = self._held, []
        return [self.stamp(made.report, made.made_at_ms, kept_lost) for made in held]


def _zero_ms(welcome: Welcome, sent_ms: int) -> int:
    """When the clock of the boot number stood at zero, on the device's own."""
    return sent_ms - (welcome.server_time_ms - welcome.boot * 1000)


def stamp_of(report: Report) -> ReportStamp:
    """The stamp a report carries. Raises ValueError when it carries none."""
    if report.seq is None:
        raise ValueError("the report has no stamp")
    return ReportStamp(report.boot, report.seq)
