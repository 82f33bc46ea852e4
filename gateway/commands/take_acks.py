"""The straight line of a batch of acks: verify, judge, commit, acknowledge."""

from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID

from msgspec import Struct

from firmware_protocol.commands import Ack, AckResult
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.errors import BadSeal, MalformedFrame
from firmware_protocol.signature import verify_ack
from firmware_protocol.topics import shard_of
from gateway.command_counters import CommandCounters
from gateway.command_ports import ArrivedAck, CommandRecord, CommandStore, DeviceKeys, HeardAck
from gateway.commands.moves import MovePorts, Telling, tell
from gateway.commands.open_commands import OpenCommand, OpenCommands
from gateway.commands.story import Story
from gateway.core.answer import happening_of, is_late
from gateway.core.command import OUT, Happening, Phase
from gateway.core.device import DeviceRecord, Quirk, Status
from gateway.ports import DeviceLink, HistoryBatch, HistoryStore, QuarantinedFrame, Registry

NO_COMMAND = UUID(int=0)
"""The command id in acks of models with the quirk `no_correlation`."""


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


class _Sorted(Struct):
    heard: list[HeardAck] = []
    refused: list[QuarantinedFrame] = []


async def take_acks(batch: Sequence[ArrivedAck], ports: AckPorts) -> None:
    """Moves what the acks are about, then acknowledges them. Raises StoreUnavailable: give the same batch again."""
    devices = await _devices(batch, ports.registry)
    keys = await ports.keys.load([device.device_no for device in devices.values()])
    sorted_ = _verify(batch, devices, keys)
    by_command = await _match(sorted_, ports)
    tellings: dict[UUID, Telling] = {
        command_id: partial(_judge, heard) for command_id, heard in by_command.items()
    }
    await tell(tellings, MovePorts(ports.store, ports.open, ports.counters))
    _note_answers(by_command, ports.open)
    if sorted_.refused:
        await ports.history.append(HistoryBatch((), (), sorted_.refused))
        for frame in sorted_.refused:
            ports.counters.ack_refused(frame.where.partition(":")[0])
    ports.link.acknowledge([arrived.delivery for arrived in batch])


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
    for record in (await ports.store.reread(unknown)).values() if unknown else ():
        ports.open.learn(record)
    by_command: dict[UUID, list[HeardAck]] = {}
    for command_id, heard in matched:
        one = ports.open.get(command_id)
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
        if one.record.slot == heard.ack.slot and one.record.phase in OUT | {Phase.UNCONFIRMED}
    ]
    return meant[0] if len(meant) == 1 else command_id


def _judge(heard: Sequence[HeardAck], story: Story, one: OpenCommand) -> None:
    said = one.answered
    for answer in heard:
        _judge_one(answer, story, one.record, said)
        said = _word(answer)


def _judge_one(answer: HeardAck, story: Story, record: CommandRecord, said: tuple[int, str] | None) -> None:
    ack, at_ms = answer.ack, answer.received_ms
    happening = happening_of(
        record.kind, ack, boot=record.boot, not_after_ms=record.not_after_ms, received_ms=at_ms
    )
    if story.is_settled or story.phase is Phase.ISSUED:
        _judge_settled(answer, story, record)
        return
    word: dict[str, bool | int | str] = {"result": ack.result.name.lower(), **_elapsed(ack)}
    reason = ack.reason or ""
    if happening is not None and story.happens(happening, at_ms, "device_ack", word, reason=reason):
        if happening is Happening.DONE_LATE:
            story.incident("executed_late", at_ms, {"not_after_ms": record.not_after_ms})
    elif said != _word(answer):
        story.says(at_ms, "device_ack", {**word, "reason": reason})


def _judge_settled(answer: HeardAck, story: Story, record: CommandRecord) -> None:
    """Nothing leaves a settled phase; a device that says otherwise has done what it must not."""
    ack, at_ms = answer.ack, answer.received_ms
    if ack.result is not AckResult.EXECUTED:
        return
    if is_late(ack, not_after_ms=record.not_after_ms, received_ms=at_ms):
        if story.phase is not Phase.EXECUTED_LATE:
            story.incident("executed_late", at_ms, {"not_after_ms": record.not_after_ms})
    elif story.phase in (Phase.FAILED, Phase.REFUSED, Phase.ABANDONED):
        story.incident("evidence_contradicts_ack", at_ms, {"phase": story.phase.value})
    elif story.phase in (Phase.ISSUED, Phase.EXPIRED, Phase.CANCELLED):
        story.incident("ack_without_command", at_ms, {"phase": story.phase.value})


def _word(answer: HeardAck) -> tuple[int, str]:
    return answer.ack.result, answer.ack.reason or ""


def _elapsed(ack: Ack) -> dict[str, int]:
    return {} if ack.elapsed_ms is None else {"executed_ms": ack.boot * 1000 + ack.elapsed_ms}


def _note_answers(by_command: Mapping[UUID, Sequence[HeardAck]], known: OpenCommands) -> None:
    """A device that answered has the frame: no further copies."""
    for command_id, heard in by_command.items():
        one = known.get(command_id)
        if one is not None:
            one.flight = None
            one.answered = _word(heard[-1])


def _bad(arrived: ArrivedAck, where: str) -> QuarantinedFrame:
    return QuarantinedFrame(
        arrived.device_id, arrived.topic, "bad_ack", where, arrived.received_ms, arrived.frame
    )
