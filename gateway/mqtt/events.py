"""What an MQTT session is and what happens in it, as values."""

from collections.abc import Hashable
from dataclasses import dataclass

from mqtt5 import PublishPacket

RECEIVE_MAX = 65_534
"""As many unacknowledged messages as MQTT allows less one: 65,535 is the default of the standard, is therefore
not written on the wire, and mosquitto then uses its own much smaller window."""

SESSION_EXPIRY_S = 0xFFFF_FFFE
"""136 years; one less than "never", which some brokers refuse to persist."""


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """What one session is, through all its connections."""

    client_id: str
    username: str
    password: str
    filters: tuple[str, ...]
    keep_alive_s: int = 12
    """A PINGREQ leaves after half of it without traffic, and must be answered within the other half."""
    session_expiry_s: int = SESSION_EXPIRY_S
    receive_max: int = RECEIVE_MAX
    retained_too: bool = False
    """Whether what the broker retains is wanted at each subscription: only its own counters are."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The broker accepted the connection."""

    session_present: bool
    session_lost: bool
    """It was present before, in this process, and the broker has forgotten it: messages may be lost."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """From here on the session receives: the broker granted every filter, or delivers already what it queued
    under those that it granted before."""


@dataclass(frozen=True, slots=True)
class BrokerAcked:
    """The broker has answered a QoS 1 message of ours."""

    tag: Hashable
    reason: str
    """`success`, `no_matching_subscribers` (nobody was there to get it), or why it was refused."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The conversation is over and the connection must be closed."""

    reason: str
    taken_over: bool = False
    """Another client connected with this client id."""


Event = PublishPacket | Opened | Subscribed | BrokerAcked | Ended
