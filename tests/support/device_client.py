"""A device at a broker as an attacker or a victim would be one: connects, subscribes, publishes, remembers."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.support.waiting import until

V311, V5 = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5


class DeviceClient:
    """One connection; never connects again by itself."""

    def __init__(
        self,
        port: int,
        name: str | None,
        password: str = "",
        *,
        client_id: str = "",
        version: MQTTProtocolVersion = V5,
        certificates: Path | None = None,
        certificate: Path | None = None,
    ) -> None:
        """`certificates` is the folder with ca.crt, for TLS; `certificate` without its suffix, for a client's own."""
        self.codes: list[int] = []
        """Of every CONNACK."""
        self.heard: list[tuple[str, bytes]] = []
        self.ended = False
        self.answers: dict[int, int] = {}
        """Reason codes of PUBACKs."""
        self._subscribed: set[int | None] = set()
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or name or "nobody",
            protocol=version,
            reconnect_on_failure=False,
            clean_session=None if version is V5 else True,
        )
        if name is not None:
            self.client.username_pw_set(name, password)
        if certificates is not None:
            own = (certificate.with_suffix(".crt"), certificate.with_suffix(".key")) if certificate else None
            certfile, keyfile = (str(own[0]), str(own[1])) if own else (None, None)
            self.client.tls_set(str(certificates / "ca.crt"), certfile, keyfile)
        self.client.on_connect = lambda _c, _u, _f, code, _p: self.codes.append(code.value)
        self.client.on_disconnect = lambda *_: setattr(self, "ended", True)
        self.client.on_message = lambda _c, _u, m: self.heard.append((m.topic, bytes(m.payload)))
        self.client.on_subscribe = lambda _c, _u, mid, _codes, _p: self._subscribed.add(mid)
        self.client.on_publish = lambda _c, _u, mid, code, _p: self.answers.__setitem__(mid, code.value)
        try:
            # The name in the broker's certificate, and an address that is never anything but loopback.
            self.client.connect("localhost" if certificates else "127.0.0.1", port)
            self.client.loop_start()
        except (OSError, ssl.SSLError):
            self.ended = True

    @property
    def welcome(self) -> bool:
        """Whether the broker let it in."""
        return self.codes == [0]

    def answered(self) -> bool:
        """Let in or refused, returns once it is known."""
        until(lambda: bool(self.codes) or self.ended, what="an answer to CONNECT")
        return self.welcome

    def subscribe(self, topic_filter: str) -> None:
        """QoS 1; returns once the broker has answered."""
        result, mid = self.client.subscribe(topic_filter, qos=1)
        assert result is paho.MQTT_ERR_SUCCESS
        until(lambda: mid in self._subscribed or self.ended, what=f"SUBACK for {topic_filter}")

    def publish(self, topic: str, payload: bytes) -> int:
        """QoS 1; the id of the packet."""
        return self.client.publish(topic, payload, qos=1).mid

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def device_client(port: int, name: str | None, password: str = "", **more: object) -> Iterator[DeviceClient]:
    """Answered one way or the other; closed at the end."""
    client = DeviceClient(port, name, password, **more)  # type: ignore[arg-type]  # by name
    try:
        client.answered()
        yield client
    finally:
        client.close()
