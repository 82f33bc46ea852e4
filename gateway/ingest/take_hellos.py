"""The straight line of a batch of hellos: each gets a boot number and a welcome."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from firmware_protocol.codec import encode_welcome
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import DeviceId, Hello, Welcome
from firmware_protocol.signature import sign_welcome
from firmware_protocol.topics import shard_of, welcome_topic
from gateway.command_ports import DeviceKeys, NoKeys
from gateway.core.device import DeviceRecord, Status
from gateway.counters import IngestCounters
from gateway.evidence import BootSink, NothingOpen
from gateway.ingest.newcomers import Newcomers
from gateway.ports import ArrivedHello, DeviceLink, Registry


class HelloPorts(Struct, frozen=True):
    """What the flow needs of the world: no Redis, so welcomes work while it is away."""

    registry: Registry
    link: DeviceLink
    counters: IngestCounters
    keys: DeviceKeys = NoKeys()
    boots: BootSink = NothingOpen()
    newcomers: Newcomers | None = None
    """None for no bound."""


async def take_hellos(batch: Sequence[ArrivedHello], ports: HelloPorts) -> None:
    """Commits boot numbers, acknowledges, welcomes. Raises StoreUnavailable: give the same batch again."""
    # Devices judge by it what they still obey. The clock of this machine may be behind: by PostgreSQL's a command is
    # claimed, and none is issued ahead of it.
    now_ms = await ports.registry.time_ms()
    newest = {arrived.device_id: arrived for arrived in batch}
    devices = await _find(newest, ports, now_ms)
    heard = {device_id: one for device_id, one in newest.items() if _is_heard(one, devices.get(device_id))}
    pairs: list[tuple[DeviceRecord, Hello]] = [(devices[d], one.hello) for d, one in heard.items()]
    records = await ports.registry.give_boots(pairs, now_ms) if pairs else {}
    keys = await ports.keys.load([record.device_no for record in records.values()]) if records else {}
    await ports.boots.booted(list(records.values()), now_ms)
    ports.link.acknowledge([arrived.delivery for arrived in batch])
    welcomed = 0
    for device_id, arrived in heard.items():
        record = records.get(device_id)
        # Only a boot number given for this very power-on is told; who says hello too often must wait.
        if record is not None and record.power_on_id == arrived.hello.power_on_id:
            payload = _welcome(arrived, record, keys.get(record.device_no, ()), now_ms)
            ports.link.publish(arrived.lane, welcome_topic(device_id), payload)
            welcomed += 1
    ports.counters.welcomed(welcomed)
    if len(heard) < len(newest):
        ports.counters.refused("hello", len(newest) - len(heard))


async def _find(
    newest: Mapping[DeviceId, ArrivedHello], ports: HelloPorts, now_ms: int
) -> dict[DeviceId, DeviceRecord]:
    """Those in the registry, and those whose model lets a hello register them."""
    registry = ports.registry
    devices = {device_id: known for device_id in newest if (known := registry.known(device_id)) is not None}
    missing = [device_id for device_id in newest if device_id not in devices]
    if missing:
        devices.update(await registry.load(missing))
    for device_id in missing:
        arrived = newest[device_id]
        if device_id not in devices and arrived.lane == shard_of(device_id):
            registered = await _register(device_id, arrived.hello.model, ports, now_ms)
            if registered is not None:
                devices[device_id] = registered
    return devices


async def _register(device_id: DeviceId, model: str, ports: HelloPorts, now_ms: int) -> DeviceRecord | None:
    newcomers = ports.newcomers
    if newcomers is not None and not newcomers.may_register(model, now_ms):
        return None
    registered = await ports.registry.register_unknown(device_id, model)
    if registered is not None and newcomers is not None:
        newcomers.registered(model)
    return registered


def _is_heard(arrived: ArrivedHello, device: DeviceRecord | None) -> bool:
    return (
        device is not None and device.status is Status.ACTIVE and arrived.lane == shard_of(arrived.device_id)
    )


def _welcome(arrived: ArrivedHello, record: DeviceRecord, keys: Sequence[DeviceKey], now_ms: int) -> bytes:
    """Signed for a device with a key: it trusts no other word about the time."""
    hello = arrived.hello
    welcome = Welcome(hello.power_on_id, record.boot, now_ms, hello.hello_sent_ms)
    if keys:
        return sign_welcome(welcome, device_id=record.device_id, key=keys[0])
    return encode_welcome(welcome, encoding=arrived.encoding)
