"""The flows of commands over fakes of everything around them, with one bike and one locker."""

from collections.abc import Callable
from itertools import count
from typing import Any
from uuid import UUID

from firmware_protocol.codec import Encoding, encode_report
from firmware_protocol.commands import Ack, AckResult, Command, CommandKind
from firmware_protocol.messages import Bolt, DeviceId, Lock, Report
from firmware_protocol.signature import sign_ack, verify_command
from firmware_protocol.topics import ack_topic, shard_of
from gateway.command_ports import ArrivedAck, CommandRecord, HeardAck, Issued
from gateway.commands.dispatch import Dispatch, DispatchPorts
from gateway.commands.issue import IssuePorts, Wish, issue
from gateway.commands.moves import MovePorts
from gateway.commands.open_commands import OpenCommands
from gateway.commands.settle import SettleByEvidence
from gateway.commands.take_acks import AckPorts, take_acks
from gateway.core.command import Phase
from gateway.core.device import DeviceModel, Kind, Quirk
from gateway.core.live_state import LiveState
from gateway.core.stamped import StampedReport
from gateway.ports import Delivery
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.command_link import FakeCommandCounters, FakeCommandLink
from tests.support.fakes.commands import FakeCommands
from tests.support.fakes.device_keys import FakeDeviceKeys
from tests.support.fakes.device_link import FakeDeviceLink
from tests.support.fakes.history import FakeHistory
from tests.support.fakes.interruptions import Interruptions
from tests.support.fakes.registry import FakeRegistry
from tests.support.fakes.samples import BOOT, BOOT_MS, MODELS, state

ODD = DeviceModel("odd", Kind.BIKE, 60, 150, 600, quirks=(Quirk.IGNORES_TTL, Quirk.DUP_UNSAFE))
TWICE = DeviceModel("twice", Kind.BIKE, 60, 150, 600, quirks=(Quirk.DUP_UNSAFE,))
MUTE = DeviceModel("mute", Kind.BIKE, 60, 150, 600, quirks=(Quirk.NO_CORRELATION,))
MUTE_LOCKER = DeviceModel(
    "mute-locker", Kind.LOCKER, 30, 75, 300, slot_count=4, quirks=(Quirk.NO_CORRELATION,)
)
NOW_MS = BOOT_MS + 30_000


class CommandGateway:
    """One gateway that holds every lane, and an API beside it."""

    def __init__(self, model: str = "bike", *, database_clock: FakeClock | None = None) -> None:
        """One clock for all, unless the database has one of its own."""
        self.interruptions = Interruptions()
        self.clock = FakeClock(NOW_MS)
        self.commands = FakeCommands(database_clock or self.clock, interruptions=self.interruptions)
        self.registry = FakeRegistry((*MODELS, ODD, TWICE, MUTE, MUTE_LOCKER), self.interruptions)
        self.device = self.registry.register(DeviceId("bike-a"), model, boots=(BOOT,))
        self.keys = FakeDeviceKeys(self.interruptions)
        self.keys.give(self.device.device_no, 1)
        self.history = FakeHistory(self.registry, self.interruptions)
        self.link = FakeCommandLink(self.interruptions)
        self.pubacks = FakeDeviceLink(self.interruptions)
        self.counters = FakeCommandCounters()
        self.live: LiveState | None = None
        self.report(Report(lock=Lock(Bolt.CLOSED, 0, 100), battery_pct=80, firmware="1.0"))
        self.saved_state: LiveState | None = self.live
        self.is_behind = False
        self.redis_error: Callable[[], Exception] | None = None
        self._ids = count(1)
        self.restart()

    def restart(self) -> None:
        """A new process over the same stores."""
        self.open = OpenCommands()
        self.dispatch = Dispatch(
            DispatchPorts(
                self.commands,
                self.registry,
                self.keys,
                self.link,
                self.link,
                self.clock,
                self.counters,
                self.open,
                "gw",
            )
        )
        self.dispatch.lanes_taken(range(16))
        self.moving = MovePorts(self.commands, self.open, self.counters)
        self.settle = SettleByEvidence(self.moving)
        self.ack_ports = AckPorts(
            self.registry, self.keys, self.commands, self.history, self.pubacks, self.counters, self.open
        )

    def another_device(self, name: DeviceId) -> None:
        """From here on wishes, words and reports are those of this bike of the same model."""
        self.device = self.registry.register(name, self.device.model, boots=(BOOT,))
        self.keys.give(self.device.device_no, 1)

    # --- the API ---------------------------------------------------------------------------------

    def wish(self, kind: CommandKind = CommandKind.UNLOCK, **more: Any) -> Wish:
        key = more.pop("idempotency_key", f"key-{next(self._ids)}")
        model = self.registry.model(self.device.model)
        return Wish(self.device, model, kind, "staff:kim", key, **more)

    def issue_ports(self) -> IssuePorts:
        return IssuePorts(
            self.commands,
            self,
            self,
            self.keys,
            self.clock,
            self.counters,
            lambda: UUID(int=next(self._ids)),
            lambda: self.is_behind,
        )

    async def issued(self, kind: CommandKind = CommandKind.UNLOCK, **more: Any) -> CommandRecord:
        outcome = await issue(self.wish(kind, **more), self.issue_ports())
        assert isinstance(outcome, Issued), outcome
        return outcome.command

    async def get(self, device_id: DeviceId) -> LiveState | None:
        """Implements `LiveStateOf`."""
        if self.redis_error is not None:
            raise self.redis_error()
        return self.live

    async def saved(self, device_no: int) -> LiveState | None:
        """Implements `SavedStateOf`."""
        return self.saved_state

    # --- the gateway -----------------------------------------------------------------------------

    async def sent(self, kind: CommandKind = CommandKind.UNLOCK, **more: Any) -> CommandRecord:
        """Issued, claimed and published."""
        command = await self.issued(kind, **more)
        self.dispatch.noticed()
        await self.dispatch.turn()
        return self.row(command)

    async def wait(self, ms: int) -> None:
        """Time goes on, and the dispatcher is called once."""
        self.clock.advance(ms=ms)
        await self.dispatch.turn()

    def row(self, command: CommandRecord) -> CommandRecord:
        return self.commands.rows[command.command_id]

    def phase(self, command: CommandRecord) -> Phase:
        return self.row(command).phase

    def story(self, command: CommandRecord) -> list[str]:
        return [line.what for line in self.commands.lines[command.command_id]]

    def incidents(self) -> list[str]:
        return [one.kind for one in self.commands.incidents]

    # --- the device ------------------------------------------------------------------------------

    def heard(self) -> list[Command]:
        """What left for the device, as it understands it."""
        keys = self.keys.give(self.device.device_no, 1)
        return [
            verify_command(frame, device_id=self.device.device_id, keys=keys)
            for _, frame, _ in self.link.published
        ]

    def ack(self, command: CommandRecord, result: AckResult = AckResult.EXECUTED, **more: Any) -> ArrivedAck:
        """The device's word, as it arrives now."""
        command_id = more.pop("command_id", command.command_id.bytes)
        key = more.pop("key", self.keys.give(self.device.device_no, 1)[0])
        boot = more.pop("boot", BOOT)
        answer = Ack(command_id, result, boot, command.fence, command.slot, **more)
        device_id = self.device.device_id
        frame = sign_ack(answer, device_id=device_id, key=key)
        delivery = Delivery("now", 1, 1)
        now_ms = self.clock.now_ms()
        return ArrivedAck(shard_of(device_id), device_id, frame, ack_topic(device_id), now_ms, delivery)

    def verified(self, command: CommandRecord, result: AckResult = AckResult.EXECUTED) -> HeardAck:
        """The same, once its seal was found good."""
        ack = Ack(command.command_id.bytes, result, BOOT, command.fence, command.slot)
        return HeardAck(self.device, ack, self.clock.now_ms(), self.ack(command, result))

    async def answer(
        self, command: CommandRecord, result: AckResult = AckResult.EXECUTED, **more: Any
    ) -> None:
        await take_acks([self.ack(command, result, **more)], self.ack_ports)

    def report(self, report: Report) -> None:
        """The live state is this report, heard now."""
        frame = encode_report(report, encoding=Encoding.CBOR)
        live = state(self.device.device_id, 1)
        now_ms = self.clock.now_ms()
        self.live = LiveState(
            live.revision,
            live.boot,
            live.seq,
            now_ms,
            now_ms,
            live.presence,
            frame,
            live.reasons,
            live.claims,
            live.entry,
        )

    def stamped(
        self, fence: int, openings: int, bolt: Bolt = Bolt.OPEN, *, boot: int = BOOT
    ) -> StampedReport:
        """What the bike says of its bolt now."""
        report = Report(lock=Lock(bolt, fence, openings))
        now_ms = self.clock.now_ms()
        return StampedReport(report, boot, 9, now_ms, False, now_ms, 0, 0, b"")

    async def senses(self, fence: int, openings: int, bolt: Bolt = Bolt.OPEN, *, boot: int = BOOT) -> None:
        await self.settle.offer([(self.device, [self.stamped(fence, openings, bolt, boot=boot)])])
