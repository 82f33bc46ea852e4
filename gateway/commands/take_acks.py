"""The straight line of a batch of acks: verify, judge, commit, acknowledge."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from firmware_protocol.commands import AckResult
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.errors import BadSeal, MalformedFrame
from firmware_protocol.signature import verify_ack
from firmware_protocol.topics import shard_of
from gateway.command_counters import CommandCounters
from gateway.command_ports import ArrivedAck, CommandStore, DeviceKeys, HeardAck
from gateway.commands.moves import MovePorts, nothing_more, tell
from gateway.commands.open_commands import OpenCommand, OpenCommands
from gateway.core.command import OPENING, OUT, Phase
from gateway.core.device import DeviceRecord, Quirk, Status
from gateway.ports import DeviceLink, HistoryBatch, HistoryStore, QuarantinedFrame, Registry

NO_COMMAND = UUID(int=0)
"""The command id in acks of models with the quirk `no_correlation`."""


class Patience(Protocol):
    """Waits a moment for what makes waiting worth it."""

    async def until(self, done: Callable[[], bool]) -> None:
        """Returns once `done` says so, after some milliseconds all the same."""


class NoPatience:
    """Does not wait."""

    async def until(self, done: Callable[[], bool]) -> None:
        """At once."""


class AckPorts(Struct, frozen=True):
    """What the flow needs of the world."""

    registry: Registry
    keys: DeviceKeys
    store: CommandStore
    history: HistoryStore
    """For the quarantine of what proves nothing."""
    link: DeviceLink
    counters: CommandCounters
    open: OpenCommands
    patience: Patience = NoPatience()


class _Sorted(Struct):
    heard: list[HeardAck] = []
    refused: list[QuarantinedFrame] = []


async def take_acks(batch: Sequence[ArrivedAck], ports: AckPorts) -> None:
    """Moves what the acks are about, then acknowledges them. Raises StoreUnavailable: give the same batch again."""
    # Of a lane that was lost while the batch was in hand whoever has it now hears the ack again.
    batch = [arrived for arrived in batch if arrived.lane in ports.open.lanes]
    devices = await _devices(batch, ports.registry)
    keys = await ports.keys.load([device.device_no for device in devices.values()])
    sorted_ = _verify(batch, devices, keys)
    by_command = await _match(sorted_, ports)
    await _tell(by_command, ports)
    if sorted_.refused:
        await ports.history.append(HistoryBatch((), (), sorted_.refused))
        for frame in sorted_.refused:
            ports.counters.ack_refused(frame.where.partition(":")[0])
    ports.link.acknowledge([arrived.delivery for arrived in batch if arrived.lane in ports.open.lanes])


async def _tell(by_command: Mapping[UUID, Sequence[HeardAck]], ports: AckPorts) -> None:
    """Whoever says that it has opened nearly always shows it in the same breath: the report that follows takes the
    answer along into its own transaction, and one less is between a rider and an open lock."""
    known = [one for command_id in by_command if (one := ports.open.get(command_id)) is not None]
    for one in known:
        # The same batch may be given again: what is left of the first time is in it.
        one.answers = tuple(by_command[one.record.command_id])
        # It has the frame: no further copies.
        one.flight = None
    shown_soon = [one for one in known if _is_shown_soon(one)]
    at_once = [one for one in known if not _is_shown_soon(one)]
    moving = MovePorts(ports.store, ports.open, ports.counters)
    await tell({one.record.command_id: nothing_more for one in at_once}, moving)
    if shown_soon:
        await ports.patience.until(lambda: not any(one.answers for one in shown_soon))
        untold = [one for one in shown_soon if one.answers]
        await tell({one.record.command_id: nothing_more for one in untold}, moving)


def _is_shown_soon(one: OpenCommand) -> bool:
    has_opened = all(answer.ack.result is AckResult.EXECUTED for answer in one.answers)
    return has_opened and one.record.kind in OPENING and one.record.phase in OUT


async def _devices(batch: Sequence[ArrivedAck], registry: Registry) -> Mapping[str, DeviceRecord]:
    named = sorted({arrived.device_id for arrived in batch})
    missing = [device_id for device_id in named if registry.known(device_id) is None]
    if missing:
        await registry.load(missing)
    found = {device_id: registry.known(device_id) for device_id in named}
    return {device_id: device for device_id, device in found.items() if device is not None}


def _verify(
    batch: Sequence[ArrivedAck],
    devices: Mapping[str, DeviceRecord],
    keys: Mapping[int, Sequence[DeviceKey]],
) -> _Sorted:
    found = _Sorted()
    for arrived in batch:
        device = devices.get(arrived.device_id)
        if (
            device is None
            or device.status is not Status.ACTIVE
            or arrived.lane != shard_of(arrived.device_id)
        ):
            found.refused.append(_bad(arrived, "unknown_device"))
            continue
        try:
            held = keys.get(device.device_no, ())
            ack = verify_ack(arrived.frame, device_id=arrived.device_id, keys=held)
        except BadSeal as error:
            found.refused.append(_bad(arrived, f"bad_seal: {error.reason}"))
        except MalformedFrame as error:
            found.refused.append(_bad(arrived, f"malformed: {error.reason}"))
        else:
            found.heard.append(HeardAck(device, ack, arrived.received_ms, arrived))
    return found


async def _match(found: _Sorted, ports: AckPorts) -> dict[UUID, list[HeardAck]]:
    """Acks by the command they are about; those of no command of their device are refused."""
    matched = [(_command_id(heard, ports), heard) for heard in found.heard]
    unknown = sorted({command_id for command_id, _ in matched if ports.open.get(command_id) is None})
    named = {(command_id, heard.device.device_no) for command_id, heard in matched}
    for record in (await ports.store.reread(unknown)).values() if unknown else ():
        # What a device says of another one's order is no reason to remember that; nor would one of a lane that was
        # lost meanwhile ever be forgotten here.
        is_its_own = (record.command_id, record.device_no) in named
        if is_its_own and shard_of(record.device_id) in ports.open.lanes:
            ports.open.learn(record, is_spoken_of=True)
    by_command: dict[UUID, list[HeardAck]] = {}
    for command_id, heard in matched:
        one = ports.open.get(command_id)
        if heard.arrived.lane not in ports.open.lanes:
            continue
        if one is not None and one.record.device_no == heard.device.device_no:
            by_command.setdefault(command_id, []).append(heard)
        elif not ports.open.probe_answered(command_id, heard.device.device_id):
            found.refused.append(_bad(heard.arrived, "unknown_command"))
    return by_command


def _command_id(heard: HeardAck, ports: AckPorts) -> UUID:
    """As the ack says; of a model that cannot say it, the only one it can mean."""
    command_id = UUID(bytes=heard.ack.command_id)
    if (
        command_id != NO_COMMAND
        or Quirk.NO_CORRELATION not in ports.registry.model(heard.device.model).quirks
    ):
        return command_id
    meant = [
        one.record.command_id
        for one in ports.open.of_device(heard.device.device_no)
        if one.record.slot == heard.ack.slot
        and (one.record.phase in OUT | {Phase.UNCONFIRMED} or one.is_unanswered(heard.received_ms))
    ]
    return meant[0] if len(meant) == 1 else command_id


def _bad(arrived: ArrivedAck, where: str) -> QuarantinedFrame:
    return QuarantinedFrame(
        arrived.device_id, arrived.topic, "bad_ack", where, arrived.received_ms, arrived.frame
    )
