"""Which issued commands may leave now; a device that must be asked first is asked."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from firmware_protocol.device_key import DeviceKey
from firmware_protocol.topics import command_topic, shard_of
from gateway.command_ports import CommandLink, CommandRecord
from gateway.commands.frames import needs_probe, probe_frame, probe_id
from gateway.commands.in_flight import Probe, may_send, must_ask
from gateway.commands.open_commands import OpenCommand, OpenCommands
from gateway.core.command import OUT, Phase
from gateway.core.device import Quirk, Status
from gateway.ports import Clock, Registry


class ReadyPorts(Struct, frozen=True):
    """What judging needs of the world."""

    registry: Registry
    link: CommandLink
    clock: Clock
    open: OpenCommands


class Ready(Struct, frozen=True):
    """What may be claimed now, in the order given."""

    records: Sequence[CommandRecord]
    is_asking: bool
    """A device was asked whether it listens: for its answer one looks earlier."""


def ready_of(
    waiting: Sequence[CommandRecord], keys: Mapping[int, Sequence[DeviceKey]], ports: ReadyPorts
) -> Ready:
    """Of `waiting`; what is not ready simply waits, and expires. Keys by device_no, the newest first."""
    ready: list[CommandRecord] = []
    spoken_to: set[int] = set()
    is_asking = False
    for record in waiting:
        one, held = ports.open.get(record.command_id), keys.get(record.device_no, ())
        if one is None or not held or not _may_leave(one, ports):
            continue
        model = ports.registry.model(record.model)
        is_mute = Quirk.NO_CORRELATION in model.quirks
        if is_mute and (record.device_no in spoken_to or _is_spoken_to(one, ports)):
            # Its acks name no command: one at a time, so that they can only mean that one.
            continue
        if not needs_probe(record, model) or may_send(one.probe, ports.clock.now_ms()):
            ready.append(record)
            spoken_to.add(record.device_no)
        else:
            is_asking = True
            _ask(one, held[0], ports)
    return Ready(ready, is_asking)


def _may_leave(one: OpenCommand, ports: ReadyPorts) -> bool:
    record, device = one.record, ports.registry.known(one.record.device_id)
    if device is None or device.status is not Status.ACTIVE:
        return False
    return record.phase is Phase.ISSUED and ports.clock.now_ms() < record.not_after_ms


def _is_spoken_to(one: OpenCommand, ports: ReadyPorts) -> bool:
    """Another order is out, or its answer is: a report may have settled the order before the answer came."""
    others, now_ms = ports.open.of_device(one.record.device_no), ports.clock.now_ms()
    return any(other.record.phase in OUT or other.is_unanswered(now_ms) for other in others)


def _ask(one: OpenCommand, key: DeviceKey, ports: ReadyPorts) -> None:
    now_ms, record = ports.clock.now_ms(), one.record
    if not must_ask(one.probe, now_ms):
        return
    number = one.probe.number + 1 if one.probe is not None else 1
    frame, topic = probe_frame(record, number, key), command_topic(record.device_id)
    if ports.link.publish_command(shard_of(record.device_id), topic, frame, tag=None):
        ports.open.asked(probe_id(record, number), record.command_id, Probe(number, now_ms))
        one.add_line(now_ms, "probed", number=number)
