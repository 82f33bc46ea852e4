"""What the simulation needs of a way to the broker, whichever way that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from device_sim.packets import Framing
from device_sim.peek import Label


class Message(NamedTuple):
    """One QoS 1 message of one device."""

    device: int
    topic: str
    payload: bytes
    label: Label | None
    """Of the report it carries; None for a hello or an ack."""
    after_ms: int = 0
    """How long the device itself holds it back."""


@dataclass(frozen=True, slots=True)
class Party:
    """The devices that share one connection: one, unless they come through a bridge user."""

    devices: tuple[int, ...]
    client_id: str
    user: str
    password: str
    topics: Mapping[str, int]
    """What to subscribe to, and whose it is."""
    framing: Framing


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker listens."""

    host: str
    port: int


class Listener(Protocol):
    """Who hears what becomes of the devices' connections; called from the event loop, must not block."""

    def connected(self, device: int) -> None:
        """The device may publish and hears its topics."""

    def disconnected(self, device: int, unconfirmed: Sequence[Message]) -> None:
        """The connection is gone, and with it the word on these messages."""

    def confirmed(self, message: Message, took_s: float, refusal: int) -> None:
        """The broker has the message (refusal 0), has it for nobody (16), or refused it."""

    def delivered(self, device: int, topic: str, payload: bytes) -> None:
        """A message from the gateway."""


class Driver(Protocol):
    """Connections for a fleet."""

    @property
    def connected_count(self) -> int:
        """Devices that may publish now."""

    @property
    def refused_count(self) -> int:
        """Connections or subscriptions that the broker answered with no."""

    async def run(self) -> None:
        """Connect every device, and again whenever one is cut off, until cancelled."""

    def publish(self, message: Message) -> bool:
        """False while the device has no connection: the message is not sent and not kept."""

    def cut(self, device: int, *, for_s: float) -> bool:
        """Take the network away from a device, without a goodbye; False when it shares its connection."""
