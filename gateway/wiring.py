"""The parts of one gateway process, made and connected; nothing runs yet."""

import asyncio
import random
import secrets
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from gateway import telemetry
from gateway.broker_disk import BrokerDisk
from gateway.broker_export import exporting
from gateway.clock import worked_s
from gateway.command_ports import ArrivedAck
from gateway.command_wiring import CommandParts
from gateway.counting import MetricCounters
from gateway.ingest.beliefs import Beliefs, LaneTrouble
from gateway.ingest.evidence_ahead import EvidenceAhead
from gateway.ingest.evidence_at_once import EvidenceAtOnce
from gateway.ingest.fresh_ids import FreshIdPorts, FreshIds
from gateway.ingest.newcomers import Newcomers
from gateway.ingest.presence_sweep import PresenceSweep, SweepPorts
from gateway.ingest.quotas import ReportQuotas
from gateway.ingest.rebuild import RebuildPorts, rebuild_shard
from gateway.ingest.silence_wheel import SilenceWheel
from gateway.ingest.take_hellos import HelloPorts, take_hellos
from gateway.ingest.take_reports import ReportPorts, TakeReports
from gateway.intake import BYTE_BUDGET, AlwaysOpen, Intake
from gateway.mqtt.broker_watch import BrokerWatch
from gateway.mqtt.connection import Address, Connection, Surroundings
from gateway.mqtt.lane_sessions import LaneSessions, lane_specs
from gateway.mqtt.shards import LaneKeeper
from gateway.ports import Arrived, ArrivedHello, Clock, StoreUnavailable
from gateway.replaying import Replaying, ReplayPorts
from gateway.settings import Settings
from gateway.store_wiring import Stores

MAX_PENDING_HELLOS = 20_000
"""Four storms of 5,000 devices at once; whoever comes later repeats its hello within minutes."""

MAX_PENDING_BYTES = 2 * BYTE_BUDGET
"""The budget, and once more for malformed hellos: while a store is away nothing else comes in beyond the budget."""

log = telemetry.logger()


class Gateway:
    """All parts, each named once. Implements `Receiver`, `Valve` and `LaneObserver` by handing on."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.chance = random.Random().random
        self.stores = Stores(settings, clock)
        self.counters = MetricCounters()
        self.keeper = LaneKeeper(
            self.stores.leases, settings.gateway_name, settings.gateway_lanes, clock, observer=self
        )
        self.lanes_to_open: asyncio.Queue[int] = asyncio.Queue()
        """At most one entry per take-over or rebuild of a lane, which are rare."""
        around = Surroundings(
            Address(settings.mqtt_host, settings.mqtt_port),
            clock,
            self.chance,
            self._may_connect,
            lambda connection, closed_at_s: self.sessions.suspected(connection, closed_at_s),
            self._taken_over,
            lambda connection: self.commands.loop.wake(),
        )
        account = (settings.mqtt_username, settings.mqtt_password)
        specs = {lane: lane_specs(lane, *account) for lane in settings.gateway_lanes}
        self.sessions = LaneSessions(specs, around, self)
        self.broker = BrokerWatch(
            settings.gateway_name, account, around, queue_messages=settings.broker_queue_messages
        )
        self.broker_disk = BrokerDisk(settings.broker_folder)
        self.broker_export = exporting(
            self.stores.broker_lists, settings.broker_passwords, settings.broker_pid_file, clock
        )
        self._wire_flows()

    def _wire_flows(self) -> None:
        stores, clock, counters = self.stores, self.clock, self.counters
        self.commands = CommandParts(
            stores.commands,
            stores.bad_acks,
            stores.registry,
            stores.device_keys,
            link=self.sessions,
            lanes=self.keeper,
            settings=self.settings,
            clock=clock,
            chance=self.chance,
            opened=self.sessions.want,
        )
        self.quotas = ReportQuotas(self.settings.reports_per_device, counters)
        self._rebuilding = asyncio.Lock()
        self._rebuild_ports = RebuildPorts(
            stores.last_reports,
            stores.live_states,
            stores.registry,
            clock,
            counters,
            lambda: secrets.token_hex(8),
        )
        self.beliefs = Beliefs(stores.live_states, self._rebuild, counters)
        self.silence = SilenceWheel(clock.now_ms())
        self.fresh_ids = FreshIds(FreshIdPorts(stores.registry, self.beliefs, counters, clock, self.chance))
        sweep_ports = SweepPorts(
            stores.registry, stores.live_states, self.beliefs, clock, counters, self.fresh_ids
        )
        self.sweep = PresenceSweep(sweep_ports, self.silence)
        self._report_ports = ReportPorts(
            stores.registry,
            stores.history,
            self.beliefs,
            self.sessions,
            self.silence,
            counters,
            self.commands.evidence,
            self.fresh_ids,
        )
        self._reports = TakeReports(self._report_ports)
        self._taking = asyncio.Lock()
        """New reports and replayed ones take turns, so that each sees what the other has committed."""
        self._wire_intakes()

    def _wire_intakes(self) -> None:
        stores, clock, counters = self.stores, self.clock, self.counters
        self._hello_ports = HelloPorts(
            stores.registry,
            self.sessions,
            counters,
            stores.device_keys,
            self.commands.evidence,
            Newcomers(self.settings.registrations_per_hour, counters),
        )
        ahead = EvidenceAhead(stores.registry, self.commands.evidence)
        self.at_once = EvidenceAtOnce(stores.registry, ahead, self.commands.open.is_awaited)
        self.reports: Intake[Arrived] = Intake(
            self._take_reports,
            self,
            clock,
            chance=self.chance,
            of="reports",
            ahead=ahead,
            worked_s=worked_s,
        )
        self.commands.dispatch.published = self.reports.let_in
        self.hellos: Intake[ArrivedHello] = Intake(
            self._take_hellos, AlwaysOpen(), clock, chance=self.chance, of="hellos"
        )
        self._replaying = Replaying(
            ReplayPorts(
                stores.quarantine,
                stores.registry.refresh,
                lambda: self.keeper.held,
                lambda: partial(self._take, TakeReports(self._report_ports)),
                clock,
            )
        )

    # --- Receiver --------------------------------------------------------------------------------

    def took_reports(self, arrived: list[Arrived], size_bytes: int) -> None:
        self.quotas.mark(arrived, self.clock.now_ms())
        if self.reports.pending_bytes > MAX_PENDING_BYTES:
            arrived = self._without_malformed(arrived)
        if arrived:
            # In this order: who waits is looked after first, and while the store is at that the batch is made.
            self.at_once.heard(arrived)
            self.reports.take(arrived, size_bytes)

    def took_hellos(self, hellos: list[ArrivedHello]) -> None:
        if self.hellos.pending > MAX_PENDING_HELLOS:
            telemetry.HELLOS_DROPPED.inc(len(hellos))
            self.sessions.acknowledge([hello.delivery for hello in hellos])
        else:
            self.hellos.take(hellos, 0)

    def took_acks(self, acks: list[ArrivedAck]) -> None:
        self.commands.took_acks(acks)
        if any(self.at_once.expects(ack.device_id) for ack in acks):
            # What its sensors show is right behind what a device says.
            self.reports.let_in()

    def broker_acked(self, tag: UUID, reason: str) -> None:
        self.commands.broker_acked(tag, reason)

    def _without_malformed(self, arrived: list[Arrived]) -> list[Arrived]:
        """Counted and acknowledged instead of kept for a person: the sessions that never pause bring them."""
        malformed = [one for one in arrived if one.report is None]
        if malformed:
            telemetry.MALFORMED_DROPPED.inc(len(malformed))
            self.sessions.acknowledge([one.delivery for one in malformed])
        return [one for one in arrived if one.report is not None]

    # --- Valve -----------------------------------------------------------------------------------

    def open(self) -> None:
        self.sessions.resume_reports()

    def shut(self) -> None:
        self.sessions.pause_reports()

    def look(self) -> None:
        self.sessions.look_for_reports()

    # --- LaneObserver ----------------------------------------------------------------------------

    def lanes_taken(self, lanes: frozenset[int]) -> None:
        telemetry.LANES_HELD.set(len(self.keeper.held))
        log.info("lanes_taken", lanes=sorted(lanes))
        for lane in sorted(lanes):
            # Another may have written since this process last held the lane.
            self.beliefs.drop(lane)
            self.sweep.regain(lane)
            self.lanes_to_open.put_nowait(lane)
        self.commands.lanes_taken(lanes)

    def lanes_lost(self, lanes: frozenset[int]) -> None:
        telemetry.LANES_HELD.set(len(self.keeper.held))
        log.warning("lanes_lost", lanes=sorted(lanes))
        self.sessions.leave(lanes, "the lane is not ours")
        self.commands.lanes_lost(lanes)
        for lane in lanes:
            self.beliefs.drop(lane)
            self.sweep.drop(lane)
            self.fresh_ids.drop(lane)

    def lane_parked(self, lane: int) -> None:
        telemetry.LANES_PARKED.set(len(self.keeper.parked))
        log.error("lane_parked", lane=lane, reason="another client keeps taking its sessions")

    # --- state -----------------------------------------------------------------------------------

    def not_ready(self) -> list[str]:
        """Every reason why this gateway does not do all of its work now."""
        keeper, stores = self.keeper, self.stores
        reasons = [
            f"lane {lane:02x} parked: another client keeps taking it" for lane in sorted(keeper.parked)
        ]
        elsewhere = sorted(keeper.missing - keeper.parked)
        if elsewhere:
            reasons.append("lanes not held: " + " ".join(f"{lane:02x}" for lane in elsewhere))
        if keeper.store_away or stores.postgres_watch.away:
            reasons.append(f"PostgreSQL away: {stores.postgres_watch.away or 'leases cannot be renewed'}")
        if stores.redis_watch.away:
            reasons.append(f"Redis away: {stores.redis_watch.away}")
        if self.reports.failure:
            reasons.append(f"reports wait: {self.reports.failure}")
        reasons += self.commands.waiting_reasons()
        if self.broker_disk.reason:
            reasons.append(self.broker_disk.reason)
        return reasons + self.sessions.not_live(frozenset(keeper.held))

    async def replay(self) -> int:
        """Takes in frames that a person marked in the quarantine; returns how many. One that is still wrong is in
        quarantine again. Raises StoreUnavailable; then they stay marked."""
        return await self._replaying.turn()

    async def _take_reports(self, batch: list[Arrived]) -> None:
        await self._take(self._reports, batch)

    async def _take(self, flow: TakeReports, batch: list[Arrived]) -> None:
        try:
            async with self._taking:
                await flow.take(batch)
        except LaneTrouble as trouble:
            # The caches of these lanes are dropped: the same batch, again, reads what others wrote.
            raise StoreUnavailable(str(trouble)) from trouble

    async def _take_hellos(self, batch: Sequence[ArrivedHello]) -> None:
        await take_hellos(batch, self._hello_ports)

    async def _rebuild(self, shard: int) -> str:
        """One at a time: whoever waited finds the shard whole, and must not replace what was written since."""
        async with self._rebuilding:
            epoch = await self.stores.live_states.epoch(shard)
            if epoch is not None:
                return epoch
            rebuilt = await rebuild_shard(shard, self._rebuild_ports)
            # Whoever found out: its silent devices are watched anew, and its bikes that wait for an id are found.
            self.lanes_to_open.put_nowait(shard)
            return rebuilt

    async def _may_connect(self, connection: Connection) -> bool:
        return connection.lane is None or await self.keeper.confirm(connection.lane)

    def _taken_over(self, connection: Connection) -> None:
        telemetry.SESSION_INCIDENTS.labels("taken_over").inc()
        log.warning("session_taken_over", session=connection.client_id)
        if connection.lane is not None:
            self.keeper.note_take_over(connection.lane)
