"""The broker's own counters: what it queues, and what it had to throw away."""

from mqtt5 import PublishPacket

from gateway import telemetry
from gateway.mqtt.connection import Connection, Surroundings
from gateway.mqtt.events import BrokerAcked, Opened, SessionSpec
from gateway.mqtt.link import Link

ALARM_SHARE = 0.5
"""Half full leaves as much time to act as has passed since the outage began."""

COUNTERS = {
    "$SYS/broker/publish/messages/dropped": "dropped_messages",
    "$SYS/broker/store/messages/count": "queued_messages",
    "$SYS/broker/store/messages/bytes": "queued_bytes",
    "$SYS/broker/clients/connected": "clients_connected",
    "$SYS/broker/subscriptions/count": "subscriptions",
    "$SYS/broker/shared_subscriptions/count": "shared_subscriptions",
}
"""Of mosquitto; a broker without them says nothing, and the metrics stay absent."""

log = telemetry.logger()


class BrokerWatch:
    """Listens on a session of its own that the broker may forget."""

    def __init__(
        self, name: str, account: tuple[str, str], around: Surroundings, *, queue_messages: int
    ) -> None:
        username, password = account
        spec = SessionSpec(
            f"lk-gw-sys-{name}",
            username,
            password,
            tuple(COUNTERS),
            session_expiry_s=0,
            retained_too=True,
        )
        self.connection = Connection(spec, self, around, lane=None, role="broker")
        self.connection.wanted.set()
        self._queue_messages = queue_messages
        self._alarmed = False
        self._dropped: int | None = None
        self._shared = 0

    def opened(self, link: Link, event: Opened) -> None:
        """Implements `LinkSink`: another broker life counts from the start."""
        self._dropped = None

    def broker_acked(self, event: BrokerAcked) -> None:
        """Implements `LinkSink`: nothing is published on this session, so nothing is answered."""

    def took_publishes(self, link: Link, packets: list[PublishPacket], size_bytes: int) -> None:
        """Implements `LinkSink`."""
        for packet in packets:
            counter = COUNTERS.get(packet.topic)
            if counter is not None and packet.payload.isdigit():
                self._take(counter, int(packet.payload))

    def _take(self, counter: str, value: int) -> None:
        telemetry.BROKER.labels(counter).set(value)
        if counter == "queued_messages":
            self._judge_queue(value)
        elif counter == "dropped_messages":
            if self._dropped is not None and value > self._dropped:
                log.error("broker_dropped_messages", messages=value - self._dropped)
            self._dropped = value
        elif counter == "shared_subscriptions":
            self._judge_shared(value)

    def _judge_shared(self, shared: int) -> None:
        """Nothing of Latchkey shares a subscription. mosquitto grants any and delivers nothing that the rights do
        not allow, but looks at each for every message: ten thousand by one device make it 400 times slower."""
        if shared > self._shared:
            log.error("broker_shared_subscriptions", subscriptions=shared)
        self._shared = shared

    def _judge_queue(self, queued: int) -> None:
        """The broker tells no queue apart, so the worst case counts: all of it waits for one session."""
        alarmed = queued >= ALARM_SHARE * self._queue_messages
        if alarmed and not self._alarmed:
            log.error("broker_queue_half_full", queued_messages=queued, bound=self._queue_messages)
        self._alarmed = alarmed
        telemetry.QUEUE_ALARM.set(alarmed)
