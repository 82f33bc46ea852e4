"""Which frame of a command is due when, and when waiting for an answer ends; pure."""

from typing import Final

from msgspec import Struct, structs

from gateway.core.command import OUT, Happening, Phase

FIRST_REPEAT_MS: Final = 1_000
"""The same frame again after 1, 2, 4 … seconds: the device remembers the id, so it cannot act twice."""

LATE_ANSWERS_MS: Final = 2_000
"""So long after `not_after` an answer may still be on its way."""

ABANDON_AFTER_MS: Final = 24 * 3600 * 1000
"""An unconfirmed command blocks its slot for a day at most, unless a person ends that."""

PROBE_FRESH_MS: Final = 5_000
"""A device that answered so lately hears at once: nothing it is sent now can come out of an old queue."""

PROBE_AGAIN_MS: Final = 1_000

WATCH_MS: Final = 180_000
"""So long after it was settled a command is still held against what reports show."""


class Flight(Struct, frozen=True, gc=False):
    """The frames of one command in this life of the gateway."""

    first_ms: int
    frames: int
    """How often it was handed to the broker."""
    not_after_ms: int
    once: bool
    """For models that would execute a second copy, or an expired one."""


def next_frame_ms(flight: Flight) -> int | None:
    """When the next copy is due; None when there is none any more."""
    if flight.frames == 0:
        due_ms = flight.first_ms
    elif flight.once:
        return None
    else:
        due_ms = flight.first_ms + FIRST_REPEAT_MS * 2 ** (flight.frames - 1)
    return due_ms if due_ms < flight.not_after_ms else None


def postponed(flight: Flight, now_ms: int) -> Flight:
    """Nothing could leave now: the same copy is due again a second later."""
    doubled = FIRST_REPEAT_MS * 2 ** (flight.frames - 1) if flight.frames else 0
    return structs.replace(flight, first_ms=now_ms + FIRST_REPEAT_MS - doubled)


def deadline_of(phase: Phase, issued_ms: int, not_after_ms: int) -> tuple[int, Happening] | None:
    """When waiting in this phase ends, and what that is called; None for a settled command."""
    if phase is Phase.ISSUED:
        return not_after_ms, Happening.DEADLINE
    if phase in OUT:
        return not_after_ms + LATE_ANSWERS_MS, Happening.DEADLINE
    if phase is Phase.UNCONFIRMED:
        return issued_ms + ABANDON_AFTER_MS, Happening.ABANDON
    return None


class Probe(Struct, frozen=True, gc=False):
    """A question to a device that executes expired commands: is it listening now?"""

    number: int
    asked_ms: int
    answered: bool = False


def may_send(probe: Probe | None, now_ms: int) -> bool:
    """The probe was answered, and is fresh; counted from the question, not from the answer. One that was asked after
    now is not: the clock was put back, and nobody knows how old it is."""
    return probe is not None and probe.answered and 0 <= now_ms - probe.asked_ms < PROBE_FRESH_MS


def must_ask(probe: Probe | None, now_ms: int) -> bool:
    """A (new) probe is due: there is none, or it was answered too long ago, or not at all."""
    if probe is None or now_ms < probe.asked_ms:
        return True
    return now_ms - probe.asked_ms >= (PROBE_FRESH_MS if probe.answered else PROBE_AGAIN_MS)
