"""What can happen to a fleet, and what a file of trips adds to it."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from device_sim.movement import Place


class Trip(NamedTuple):
    """One real ride of a file."""

    device: int
    """Index of the bike in the fleet."""
    starts_ms: int
    ends_ms: int
    start: Place
    end: Place


class Happening(NamedTuple):
    """A device has something to say."""

    at_ms: int
    device: int
    keep: bool
    """Something a rental may hang on: an opening, a return, a fault."""


class Event(IntEnum):
    """What may stand on the agenda."""

    BEAT = 1
    TAKE = 2
    PUT = 3
    SERVICE = 4
    TRIP = 5
    LEAVE = 6
    """A bike that was opened by command is ridden, or closed again."""


@dataclass(slots=True)
class Conflicts:
    """What a file of trips said that cannot have been so."""

    overlaps: int = 0
    """Trips that began while the same bike was still on another: the bike rides the newest."""
    jumps: int = 0
