"""The shipped broker configuration under attack by its own devices: judged by what is delivered, never by answers."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from cli.ca import CertificateAuthority, now, write_new
from cli.servers.broker import PrivateBroker
from cli.stack import Stack
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import shard_of
from tests.support.device_client import V5, V311, DeviceClient, device_client
from tests.support.waiting import until

NAMES = ("bike-1", "bike-10", "BIKE-1")
"""Each the start, or the other case, of another."""
OTHER = dict(zip(NAMES, (*NAMES[1:], NAMES[0]), strict=True))
PASSWORDS = {name: f"password of {name}" for name in NAMES}
MARK = b"the end"


def prefix(name: str) -> str:
    return f"lk/v1/{shard_of(DeviceId(name)):02x}/{name}"


def foreign_filters(name: str) -> list[str]:
    """Twenty ways to listen to what is not one's own."""
    own, its = prefix(name), prefix(OTHER[name])
    return [
        *(f"{its}/{channel}" for channel in ("cmd", "welcome", "receipt", "report", "hello", "ack")),
        f"{its}/#",
        f"{its}/+",
        f"lk/v1/+/{OTHER[name]}/cmd",
        "lk/v1/+/+/cmd",
        "lk/v1/#",
        "#",
        "+/#",
        "+/+/+/+/+",
        "$SYS/#",
        "$share/x/lk/v1/+/+/cmd",
        "$share/x/#",
        f"$share/x/{its}/cmd",
        f"{own}/report",
        "ack/#",
    ]


def foreign_topics(name: str) -> list[str]:
    """Twenty ways to speak where one has no say."""
    own, its = prefix(name), prefix(OTHER[name])
    return [
        *(f"{its}/{channel}" for channel in ("report", "hello", "ack", "cmd", "welcome", "receipt")),
        *(f"{own}/{channel}" for channel in ("cmd", "welcome", "receipt")),
        f"lk/v1/zz/{OTHER[name]}/report",
        f"{own}/../{OTHER[name]}/report",
        f"{its}/report/{name}",
        f"{own}/report/{OTHER[name]}",
        f"{own}/other",
        own,
        f"lk/v2/00/{name}/report",
        f"/{own}/report",
        "$SYS/broker/version",
        f"lk/v1/{name}/{OTHER[name]}/report",
        "latchkey",
    ]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority's folder with a server and a certificate for every device."""
    folder = tmp_path_factory.mktemp("ca")
    authority = CertificateAuthority.make(folder, "test", now())
    made = authority.server(["localhost", "127.0.0.1"], now())
    write_new(folder / "server.crt", made.certificate)
    write_new(folder / "server.key", made.key)
    write_new(folder / "devices.crl", authority.revoked(1, [], now()).encode())
    for name in NAMES:
        own = authority.issue(name, now())
        write_new(folder / f"{name}.crt", own.certificate)
        write_new(folder / f"{name}.key", own.key)
    return folder


@pytest.fixture(scope="module")
def shipped(stack: Stack, certificates: Path) -> Iterator[PrivateBroker]:
    """The broker with all four listeners."""
    stack.broker.install_certificates(certificates)
    stack.broker.set_devices(PASSWORDS)
    yield stack.broker
    stack.broker.remove_certificates()
    stack.broker.set_devices({})


@pytest.fixture
def witness(shipped: PrivateBroker) -> Iterator[DeviceClient]:
    """Hears whatever any device was allowed to say, and speaks as anybody."""
    with device_client(shipped.internal_port, shipped.bridge_user, shipped.bridge_password) as bridge:
        bridge.subscribe("lk/v1/#")
        yield bridge


def enter(shipped: PrivateBroker, way: str, name: str, folder: Path) -> dict[str, Any]:
    """How a device comes in by each listener."""
    if way == "password":
        return {"port": shipped.device_port, "name": name, "password": PASSWORDS[name]}
    if way == "tls":
        return {
            "port": shipped.tls_port,
            "name": name,
            "password": PASSWORDS[name],
            "certificates": folder,
        }
    certificate = folder / f"{name}.crt"
    return {
        "port": shipped.certificate_port,
        "name": None,
        "certificates": folder,
        "certificate": certificate,
    }


WAYS = [("password", V311), ("password", V5), ("tls", V5), ("certificate", V311), ("certificate", V5)]


@pytest.mark.parametrize(("way", "version"), WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_no_device_hears_what_is_not_its_own(
    shipped: PrivateBroker,
    witness: DeviceClient,
    certificates: Path,
    name: str,
    way: str,
    version: MQTTProtocolVersion,
) -> None:
    filters = foreign_filters(name)
    assert len(set(filters)) == 20
    with device_client(**enter(shipped, way, name, certificates), version=version) as device:
        assert device.welcome
        for one in (*filters, f"{prefix(name)}/cmd"):
            device.subscribe(one)
        for other in NAMES:
            if other != name:
                for channel in ("cmd", "welcome", "receipt", "report", "hello", "ack"):
                    witness.publish(f"{prefix(other)}/{channel}", b"a secret")
        witness.publish(f"{prefix(name)}/cmd", MARK)
        until(lambda: (f"{prefix(name)}/cmd", MARK) in device.heard, what="its own command")
        assert {topic for topic, _ in device.heard} == {f"{prefix(name)}/cmd"}


@pytest.mark.parametrize(("way", "version"), WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_no_device_speaks_where_it_has_no_say(
    shipped: PrivateBroker,
    witness: DeviceClient,
    certificates: Path,
    name: str,
    way: str,
    version: MQTTProtocolVersion,
) -> None:
    topics = foreign_topics(name)
    assert len(set(topics)) == 20
    with device_client(**enter(shipped, way, name, certificates), version=version) as device:
        assert device.welcome
        for topic in topics:
            device.publish(topic, b"forged")
        device.publish(f"{prefix(name)}/report", MARK)
        until(lambda: (f"{prefix(name)}/report", MARK) in witness.heard, what="its own report")
        assert [topic for topic, payload in witness.heard if payload == b"forged"] == []


@pytest.mark.parametrize("version", [V311, V5])
def test_nobody_ends_another_devices_session(
    shipped: PrivateBroker, witness: DeviceClient, certificates: Path, version: MQTTProtocolVersion
) -> None:
    victim_name, thief_name = NAMES[0], NAMES[1]
    with ExitStack() as open_ones:
        ways = ("password", "certificate")
        victims = {}
        for way, name in zip(ways, (NAMES[0], NAMES[2]), strict=True):
            victims[name] = open_ones.enter_context(
                device_client(**enter(shipped, way, name, certificates), version=version)
            )
            victims[name].subscribe(f"{prefix(name)}/cmd")
        for way in ("password", "tls", "certificate"):
            for stolen in victims:
                given = enter(shipped, way, thief_name, certificates)
                thief = open_ones.enter_context(device_client(**given, client_id=stolen, version=version))
                assert thief.welcome, "under its own name, whatever it called itself"
        for name, victim in victims.items():
            witness.publish(f"{prefix(name)}/cmd", MARK)
            until(lambda name=name, victim=victim: (f"{prefix(name)}/cmd", MARK) in victim.heard)  # type: ignore[misc]  # a lambda's default
            assert not victim.ended
    assert victim_name in victims


def test_nobody_enters_without_the_right_name_and_password(
    shipped: PrivateBroker, certificates: Path
) -> None:
    name = NAMES[0]
    refused: list[tuple[int, str | None, str]] = [
        (port, who, password)
        for port in (shipped.device_port, shipped.internal_port)
        for who, password in (
            (None, ""),
            ("", ""),
            (name, ""),
            (name, name),
            (name, PASSWORDS[NAMES[1]]),
            ("admin", "admin"),
            ("nobody", PASSWORDS[name]),
            ("lk-gateway", ""),
            ("lk-gateway", "lk-gateway"),
        )
    ]
    refused.append((shipped.internal_port, name, PASSWORDS[name]))
    refused.append((shipped.device_port, shipped.gateway_user, shipped.gateway_password))
    refused.append((shipped.device_port, shipped.bridge_user, shipped.bridge_password))
    for port, who, password in refused:
        for version in (V311, V5):
            with device_client(port, who, password, version=version) as stranger:
                assert not stranger.welcome, (port, who)
    with device_client(shipped.tls_port, name, "wrong", certificates=certificates) as stranger:
        assert not stranger.welcome
    with device_client(shipped.certificate_port, name, PASSWORDS[name], certificates=certificates) as bare:
        assert not bare.welcome, "a password is no certificate"


def test_a_certificate_of_another_authority_is_refused(
    shipped: PrivateBroker, certificates: Path, tmp_path: Path
) -> None:
    made = CertificateAuthority.make(tmp_path / "mallory", "test", now()).issue(NAMES[0], now())
    write_new(tmp_path / "forged.crt", made.certificate)
    write_new(tmp_path / "forged.key", made.key)
    with device_client(
        shipped.certificate_port, None, certificates=certificates, certificate=tmp_path / "forged.crt"
    ) as stranger:
        assert not stranger.welcome


def test_without_tls_it_listens_on_loopback_only(shipped: PrivateBroker) -> None:
    listeners: list[list[str]] = []
    for line in (shipped.data_dir / "mosquitto.conf").read_text().splitlines():
        if line.startswith("listener "):
            listeners.append([line])
        elif listeners:
            listeners[-1].append(line)
    assert len(listeners) == 4
    for lines in listeners:
        assert lines[0].endswith(" 127.0.0.1") or any(line.startswith("certfile") for line in lines)
        assert "allow_anonymous false" in lines


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("newest", "spoken"),
    [
        (ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
        (ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        (ssl.TLSVersion.TLSv1_1, None),
        (ssl.TLSVersion.TLSv1, None),
    ],
)
def test_tls_is_of_this_century(
    shipped: PrivateBroker, certificates: Path, newest: ssl.TLSVersion, spoken: str | None
) -> None:
    context = ssl.create_default_context(cafile=certificates / "ca.crt")
    # So that it is the broker that refuses, and not our own library.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
    if spoken is not None:
        with (
            socket.create_connection(("127.0.0.1", shipped.tls_port), 10) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as secure,
        ):
            assert secure.version() == spoken
        return
    for port in (shipped.tls_port, shipped.certificate_port):
        with (
            socket.create_connection(("127.0.0.1", port), 10) as raw,
            pytest.raises((ssl.SSLError, ConnectionError)),
        ):
            context.wrap_socket(raw, server_hostname="localhost")
