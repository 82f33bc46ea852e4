"""The broker, and the hostile way between it and the devices."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import Channel, parse_topic
from gateway.ports import Delivery
from tests.simulation.scheduler import Process, Scheduler


@dataclass(slots=True)
class Weather:
    """How bad it is; all zero is a perfect network."""

    loss: float = 0.0
    doubling: float = 0.0
    """How often a message comes up to five times more."""
    slow: float = 0.0
    """How often one takes up to 40 s; later ones overtake it."""


@dataclass(slots=True)
class Message:
    """One QoS 1 PUBLISH that waits in a lane's session."""

    packet_id: int
    channel: Channel
    device_id: DeviceId
    topic: str
    payload: bytes


class Holder(Protocol):
    """The gateway at the end of a lane's session."""

    process: Process

    def arrived(self, lane: int, message: Message, delivery: Delivery) -> None: ...


@dataclass(slots=True)
class _Session:
    link_number: int = 0
    holder: Holder | None = None
    next_id: int = 1
    waiting: dict[int, Message] = field(default_factory=dict)


class Network:
    """QoS 0 downwards, at least once upwards; delays, copies and losses as the weather is."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.weather = Weather()
        self.partitioned: set[DeviceId] = set()
        self.devices: dict[DeviceId, Callable[[str, bytes], None]] = {}
        """What is called with (topic, payload) at a device."""
        self.published: list[tuple[int, bytes]] = []
        """When each frame left a gateway for the broker, and the frame."""
        self._scheduler = scheduler
        self._sessions: dict[int, _Session] = {}

    # --- gateways --------------------------------------------------------------------------------

    def connect(self, lane: int, holder: Holder) -> None:
        """Takes the lane's session; whoever had it is cut off. Everything unacknowledged comes again."""
        session = self._session(lane)
        session.holder = holder
        session.link_number += 1
        for message in list(session.waiting.values()):
            self._hand_over(lane, message)

    def acknowledge(self, holder: Holder, delivery: Delivery) -> None:
        """PUBACK, which counts on its own link only."""
        session = self._session(int(delivery.session))
        if session.holder is holder and session.link_number == delivery.link_number:
            session.waiting.pop(delivery.packet_id, None)

    def publish_down(
        self, holder: Holder, lane: int, topic: str, payload: bytes, acked: Callable[[], None] | None = None
    ) -> bool:
        """False when the link is known to be down; a link may also be gone without anybody knowing."""
        self.published.append((self._scheduler.now_ms, payload))
        if self._session(lane).holder is not holder:
            return self._scheduler.chance.random() < 0.5
        if acked is not None:
            self._scheduler.after(self._scheduler.chance.uniform(0, 50), "broker acks", acked)
        device_id = parse_topic(topic).device_id
        self._travel(f"down {topic}", lambda: self._down(device_id, topic, payload), lossy=True)
        return True

    # --- devices ---------------------------------------------------------------------------------

    def publish_up(self, device_id: DeviceId, topic: str, payload: bytes) -> None:
        """QoS 1: it waits out a partition; it may come twice."""
        self._travel(f"up {topic}", lambda: self._up(device_id, topic, payload), lossy=False)

    def _up(self, device_id: DeviceId, topic: str, payload: bytes) -> None:
        if device_id in self.partitioned:
            self._scheduler.after(3_000, f"again {topic}", lambda: self._up(device_id, topic, payload))
            return
        address = parse_topic(topic)
        session = self._session(address.shard)
        message = Message(session.next_id, address.channel, device_id, topic, payload)
        session.next_id += 1
        session.waiting[message.packet_id] = message
        self._hand_over(address.shard, message)

    def _down(self, device_id: DeviceId, topic: str, payload: bytes) -> None:
        if device_id not in self.partitioned:
            self.devices[device_id](topic, payload)

    def _hand_over(self, lane: int, message: Message) -> None:
        session = self._session(lane)
        holder, link_number = session.holder, session.link_number
        if holder is None:
            return
        delivery = Delivery(str(lane), link_number, message.packet_id)

        def due() -> None:
            if self._session(lane).holder is holder and self._session(lane).link_number == link_number:
                holder.arrived(lane, message, delivery)

        holder.process.after(self._scheduler.chance.uniform(0, 5), f"hears {message.channel}", due)

    def _travel(self, what: str, arrive: Callable[[], None], *, lossy: bool) -> None:
        chance, weather = self._scheduler.chance, self.weather
        copies = 0 if lossy and chance.random() < weather.loss else 1
        if chance.random() < weather.doubling:
            copies += chance.randint(1, 5)
        for _ in range(copies):
            slow = chance.random() < weather.slow
            delay_ms = chance.uniform(0, 40_000) if slow else chance.expovariate(1 / 40)
            self._scheduler.after(delay_ms, what, arrive)

    def _session(self, lane: int) -> _Session:
        return self._sessions.setdefault(lane, _Session())
