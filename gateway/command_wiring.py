"""The parts of the unlock line in one gateway process, made and connected; nothing runs yet."""

import asyncio
from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from gateway import telemetry
from gateway.backoff import Chance
from gateway.command_counting import MetricCommandCounters
from gateway.command_ports import ArrivedAck, CommandLink, CommandStore, DeviceKeys, HeldLanes
from gateway.commands.dispatch import Dispatch, DispatchPorts
from gateway.commands.dispatch_loop import DispatchLoop
from gateway.commands.moves import MovePorts
from gateway.commands.open_commands import OpenCommands
from gateway.commands.patience import EvidencePatience
from gateway.commands.settle import SettleByEvidence
from gateway.commands.take_acks import AckPorts, take_acks
from gateway.intake import AlwaysOpen, Intake
from gateway.ports import Clock, DeviceLink, HistoryStore, Registry
from gateway.settings import Settings
from gateway.stores.command_rows import command_heard
from gateway.stores.notices import DEVICES_CHANNEL, Notices, command_channel

MAX_PENDING_ACKS = 20_000
"""What a fleet of 100,000 says within a second of being asked; later ones are found out by evidence."""

log = telemetry.logger()


class Links(DeviceLink, CommandLink, Protocol):
    """Both ways out, which one object offers."""

    def can_command(self, lane: int) -> bool:
        """Whether a command has somewhere to go now."""


class ReachableLanes:
    """Implements `HeldLanes`: a lane whose session is down is no better than one that is another's. A command that
    was claimed without a way out would end as "maybe executed" though nobody heard of it."""

    def __init__(self, lanes: HeldLanes, link: Links) -> None:
        self._lanes = lanes
        self._link = link

    def lease_of(self, lane: int) -> int | None:
        return self._lanes.lease_of(lane) if self._link.can_command(lane) else None


class CommandParts:
    """Each named once. `Gateway` hands on to it what it hears of acks, of lanes and of the broker."""

    def __init__(
        self,
        store: CommandStore,
        history: HistoryStore,
        registry: Registry,
        keys: DeviceKeys,
        *,
        link: Links,
        lanes: HeldLanes,
        settings: Settings,
        clock: Clock,
        chance: Chance,
        opened: Callable[[frozenset[int]], None],
    ) -> None:
        """`opened` hears of lanes whose reports may be read, because what they could settle is known."""
        self.open = OpenCommands()
        self.open.moving = asyncio.Lock()
        counters = MetricCommandCounters()
        reachable = ReachableLanes(lanes, link)
        self.dispatch = Dispatch(
            DispatchPorts(
                store, registry, keys, link, reachable, clock, counters, self.open, settings.gateway_name
            )
        )
        self.dispatch.opened = opened
        self.loop = DispatchLoop(self.dispatch, clock)
        self.open.stirred = self.loop.stir
        self.evidence = SettleByEvidence(MovePorts(store, self.open, counters))
        self.acks: Intake[ArrivedAck] = Intake(self._take_acks, AlwaysOpen(), clock, chance=chance, of="acks")
        self.devices_changed = asyncio.Event()
        self._link = link
        patience = EvidencePatience()
        self.open.answers_told = patience.stir
        self._ack_ports = AckPorts(registry, keys, store, history, link, counters, self.open, patience)
        self.notices = self._hearing(settings, chance)

    def took_acks(self, acks: list[ArrivedAck]) -> None:
        """Beyond the bound they are counted and acknowledged: an ack is no evidence, so nothing rests on it."""
        if self.acks.pending > MAX_PENDING_ACKS:
            telemetry.ACKS_DROPPED.inc(len(acks))
            self._link.acknowledge([ack.delivery for ack in acks])
        else:
            self.acks.take(acks, 0)

    def broker_acked(self, tag: UUID, reason: str) -> None:
        self.dispatch.broker_acked(tag, reason)

    def lanes_taken(self, lanes: frozenset[int]) -> None:
        self.dispatch.lanes_taken(lanes)
        self.loop.wake()

    def lanes_lost(self, lanes: frozenset[int]) -> None:
        self.dispatch.lanes_lost(lanes)

    def waiting_reasons(self) -> list[str]:
        """Why commands or their answers wait; empty when they do not."""
        reasons = [f"commands wait: {self.loop.failure}"] if self.loop.failure else []
        return [*reasons, f"acks wait: {self.acks.failure}"] if self.acks.failure else reasons

    def drain(self) -> None:
        """What was claimed is published and what was answered is settled; then nothing more."""
        self.loop.end()
        self.acks.drain()

    async def finished(self) -> None:
        """Once it is drained. Raises StoreUnavailable."""
        await self.loop.ended.wait()
        await self.acks.drained.wait()
        await self.dispatch.write_lines()

    def _hearing(self, settings: Settings, chance: Chance) -> Notices:
        listeners: dict[str, Callable[[str], None]] = {
            command_channel(lane): lambda payload: self.loop.wake(command_heard(payload))
            for lane in settings.gateway_lanes
        }
        listeners[DEVICES_CHANNEL] = lambda payload: self.devices_changed.set()
        return Notices(settings.postgres_dsn, listeners, chance=chance, listening=self._look_again)

    async def _take_acks(self, batch: list[ArrivedAck]) -> None:
        await take_acks(batch, self._ack_ports)
        if self.open.issued():
            # What one answer settles, another command may have waited for.
            self.loop.stir()

    def _look_again(self) -> None:
        """Notices may have been lost."""
        self.loop.wake()
        self.devices_changed.set()
