"""A listener that writes down what the driver tells it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from device_sim.driver import Message


@dataclass
class Notebook:
    """See `device_sim.driver.Listener`."""

    up: list[int] = field(default_factory=list)
    down: list[tuple[int, list[Message]]] = field(default_factory=list)
    acks: list[tuple[Message, int]] = field(default_factory=list)
    heard: list[tuple[int, str, bytes]] = field(default_factory=list)

    def connected(self, device: int) -> None:
        self.up.append(device)

    def disconnected(self, device: int, unconfirmed: Sequence[Message]) -> None:
        self.down.append((device, list(unconfirmed)))

    def confirmed(self, message: Message, took_s: float, refusal: int) -> None:
        assert took_s >= 0
        self.acks.append((message, refusal))

    def delivered(self, device: int, topic: str, payload: bytes) -> None:
        self.heard.append((device, topic, payload))
