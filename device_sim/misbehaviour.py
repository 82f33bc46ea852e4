"""How firmware treats commands when it does not keep the rules, and which devices of a fleet do so."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from random import Random


class Misbehaviour(StrEnum):
    """What is wrong with one device; all else about it is right."""

    REFUSES = "refuses"
    """Accepts, then refuses what would move something."""
    JAMS = "jams"
    """The motor turns, the bolt does not reach its end: FAILED, and its own sensors say why."""
    ACKS_WITHOUT_OPENING = "acks_without_opening"
    """Says EXECUTED; nothing moved."""
    OPENS_WITHOUT_ACK = "opens_without_ack"
    """Moves, and never answers any command; its reports are right."""
    ACKS_TWICE = "acks_twice"
    ACKS_LATE = "acks_late"
    """Every answer leaves seconds after it was made."""
    IGNORES_EXPIRY = "ignores_expiry"
    """Its modem hands on what moves something only after it has expired, and it obeys."""
    EXECUTES_DUPLICATES = "executes_duplicates"
    """Every copy of a frame moves it again."""
    LOSES_POWER_BEFORE_ACK = "loses_power_before_ack"
    """Moves, and is gone before it has said so; its flash survives."""
    REBOOTS_FORGETFUL = "reboots_forgetful"
    """Starts anew between its answer and the report of it, and has forgotten which commands it obeyed."""
    REBOOTS_REMEMBERING = "reboots_remembering"
    """The same, and knows what it did."""


QUIRKS: Mapping[Misbehaviour, str] = {
    Misbehaviour.IGNORES_EXPIRY: "ignores_ttl",
    Misbehaviour.EXECUTES_DUPLICATES: "dup_unsafe",
}
"""What the registry knows of a model with such firmware."""

LATE_ACK_MS = (3_000, 20_000)
"""Some still within the ten seconds of an unlock, most after the end of it."""
PAST_EXPIRY_MS = (2_100, 4_000)
"""Later than a motor may still turn that was started in time."""


class BadMisbehaviour(ValueError):
    """No such misbehaviour, or a share that is none."""


def parse_misbehaviours(texts: Sequence[str]) -> dict[Misbehaviour, float]:
    """`jams` or `jams=0.05`: which share of the devices that obey at all; without one all do. Raises
    BadMisbehaviour."""
    shares: dict[Misbehaviour, float] = {}
    for text in texts:
        name, equals, share = text.strip().partition("=")
        if name not in set(Misbehaviour):
            raise BadMisbehaviour(f"{name!r}: expected one of {', '.join(Misbehaviour)}")
        try:
            shares[Misbehaviour(name)] = float(share) if equals else 1.0
        except ValueError:
            raise BadMisbehaviour(f"{text!r}: the share is a number from 0 to 1") from None
    if min(shares.values(), default=0.0) < 0.0 or not sum(shares.values()) <= 1.0:
        raise BadMisbehaviour("shares are numbers from 0 to 1, and 1 at most together")
    return shares


def cast(
    able: Sequence[int], shares: Mapping[Misbehaviour, float], chance: Random
) -> dict[int, Misbehaviour]:
    """Which of the devices that obey commands misbehave, and how."""
    waiting = list(able)
    chance.shuffle(waiting)
    parts: dict[int, Misbehaviour] = {}
    for misbehaviour, share in shares.items():
        for _ in range(min(len(waiting), round(share * len(able)))):
            parts[waiting.pop()] = misbehaviour
    return parts
