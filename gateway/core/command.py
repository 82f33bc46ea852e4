"""The life of a command: its kinds, how safe each is to repeat, and the table of its phases."""

from enum import IntEnum, StrEnum
from typing import Final

from firmware_protocol.commands import CommandKind


class SafetyClass(IntEnum):
    """What a repetition or a delay of a command could do."""

    REPEATABLE = 1
    """Harmless however often: QoS 1."""
    STATE_SETTING = 2
    """The same end however often, harmful when late: QoS 1, never past `not_after`."""
    ONE_SHOT = 3
    """Each execution is another physical act: QoS 0, never retained, never queued."""


SAFETY: Final = {
    CommandKind.UNLOCK: SafetyClass.ONE_SHOT,
    CommandKind.EJECT: SafetyClass.ONE_SHOT,
    CommandKind.OPEN_SLOT: SafetyClass.ONE_SHOT,
    CommandKind.LOCK: SafetyClass.STATE_SETTING,
    CommandKind.CONFIGURE: SafetyClass.STATE_SETTING,
    CommandKind.REBOOT: SafetyClass.STATE_SETTING,
    CommandKind.LOCATE: SafetyClass.REPEATABLE,
    CommandKind.QUERY: SafetyClass.REPEATABLE,
}

SENSED: Final = frozenset(
    {
        CommandKind.UNLOCK,
        CommandKind.LOCK,
        CommandKind.EJECT,
        CommandKind.OPEN_SLOT,
        CommandKind.REBOOT,
        CommandKind.QUERY,
    }
)
"""Kinds whose effect a later report shows; of the others the device's word is all there is."""


OPENING: Final = frozenset({CommandKind.UNLOCK, CommandKind.OPEN_SLOT, CommandKind.EJECT})
"""Kinds after which a counter of openings has risen."""


class Phase(StrEnum):
    """Where a command is."""

    ISSUED = "issued"
    SENT = "sent"
    ACCEPTED = "accepted"
    EXECUTED = "executed"
    UNCONFIRMED = "unconfirmed"
    """Silence: it may have been executed. Blocks its slot until it is settled."""
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    EXECUTED_LATE = "executed_late"
    """Executed after `not_after`: an incident."""
    ABANDONED = "abandoned"


SETTLED: Final = frozenset(
    {
        Phase.CONFIRMED,
        Phase.REFUSED,
        Phase.FAILED,
        Phase.EXPIRED,
        Phase.CANCELLED,
        Phase.EXECUTED_LATE,
        Phase.ABANDONED,
    }
)

OUT: Final = frozenset({Phase.SENT, Phase.ACCEPTED, Phase.EXECUTED})
"""The device may act on it, or has."""


class Happening(StrEnum):
    """What can happen to a command."""

    CLAIMED = "claimed"
    """The owner of the lane recorded that it is about to publish."""
    CANCEL = "cancel"
    DEADLINE = "deadline"
    """`not_after` has passed (for a phase of OUT: and the time for late answers too)."""
    ACK_ACCEPTED = "ack_accepted"
    ACK_EXECUTED = "ack_executed"
    ACK_SUFFICES = "ack_suffices"
    """Executed, the device says, and no sensor could say more."""
    ACK_REFUSED = "ack_refused"
    ACK_FAILED = "ack_failed"
    DONE = "done"
    """Evidence that it was executed in time."""
    DONE_LATE = "done_late"
    """Evidence, or the device's own word, that it was executed after `not_after`."""
    NOT_DONE = "not_done"
    """Evidence, made after `not_after` or after the device said EXECUTED, that it was not executed."""
    ABANDON = "abandon"


_P, _H = Phase, Happening

TRANSITIONS: Final[dict[tuple[Phase, Happening], Phase]] = {
    (_P.ISSUED, _H.CLAIMED): _P.SENT,
    (_P.ISSUED, _H.DEADLINE): _P.EXPIRED,
    (_P.ISSUED, _H.CANCEL): _P.CANCELLED,
    (_P.SENT, _H.ACK_ACCEPTED): _P.ACCEPTED,
    **{(phase, _H.ACK_EXECUTED): _P.EXECUTED for phase in (_P.SENT, _P.ACCEPTED)},
    **{(phase, _H.ACK_SUFFICES): _P.CONFIRMED for phase in (_P.SENT, _P.ACCEPTED, _P.UNCONFIRMED)},
    **{(phase, _H.ACK_REFUSED): _P.REFUSED for phase in (_P.SENT, _P.ACCEPTED, _P.UNCONFIRMED)},
    **{(phase, _H.ACK_FAILED): _P.FAILED for phase in (_P.SENT, _P.ACCEPTED, _P.UNCONFIRMED)},
    **{(phase, _H.DONE): _P.CONFIRMED for phase in (*OUT, _P.UNCONFIRMED)},
    **{(phase, _H.DONE_LATE): _P.EXECUTED_LATE for phase in (*OUT, _P.UNCONFIRMED)},
    # A report overtakes an answer now and then; what sensors say stands, whatever the device says of it later.
    **{(phase, _H.NOT_DONE): _P.FAILED for phase in (*OUT, _P.UNCONFIRMED)},
    **{(phase, _H.DEADLINE): _P.UNCONFIRMED for phase in OUT},
    (_P.UNCONFIRMED, _H.ABANDON): _P.ABANDONED,
}
"""Every pair that changes something; all others change nothing."""


def advance(phase: Phase, happening: Happening) -> Phase | None:
    """The phase after it, or None when it changes nothing."""
    return TRANSITIONS.get((phase, happening))
