"""Devices that went quiet."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from firmware_protocol.messages import DeviceId
from gateway.core.advance import Advanced
from gateway.core.device import DeviceModel, DeviceRecord
from gateway.core.live_state import LiveState, Presence
from gateway.core.presence import next_silence_ms
from gateway.core.silence import hear_nothing
from gateway.counters import IngestCounters
from gateway.ingest.beliefs import Beliefs, LaneTrouble
from gateway.ingest.fresh_ids import FreshIds
from gateway.ingest.silence_wheel import SilenceWheel, Watched
from gateway.ingest.state_cache import CachedState
from gateway.ports import Clock, LiveStates, Registry, StatePage, StatesUnreadable, StoreUnavailable

MAX_SWEPT = 500
"""Devices per round trip: a few milliseconds of the loop, so that reports are not kept waiting."""

RETRY_MS = 5_000


class SweepPorts(Struct, frozen=True):
    """What the sweep needs of the world."""

    registry: Registry
    live_states: LiveStates
    beliefs: Beliefs
    clock: Clock
    counters: IngestCounters
    fresh_ids: FreshIds


class _Silent(Struct):
    """One device that was not heard for a while, or so the wheel thinks."""

    shard: int
    model: DeviceModel
    cached: CachedState
    now_ms: int
    changed: Presence | None = None

    def propose(self, state: LiveState | None) -> Advanced | None:
        advanced = None if state is None else hear_nothing(state, self.model, self.now_ms)
        self.changed = None
        if state is not None and advanced is not None and advanced.after.presence is not state.presence:
            self.changed = advanced.after.presence
        return advanced


class PresenceSweep:
    """Call `sweep` about once a second."""

    def __init__(self, ports: SweepPorts, wheel: SilenceWheel) -> None:
        self._ports = ports
        self._wheel = wheel

    async def take_over(self, shard: int) -> None:
        """Watches every device the shard knows: those that never speak again must not stay online; and whoever
        owned the shard before may have left bikes without their new public ids. Raises StoreUnavailable; call it
        again then."""
        cursor = 0
        while True:
            page = await self._page(shard, cursor)
            await self._watch_all(shard, page.states)
            cursor = page.cursor
            if cursor == 0:
                return

    async def _page(self, shard: int, cursor: int) -> StatePage:
        try:
            return await self._ports.live_states.page(shard, cursor)
        except StatesUnreadable:
            await self._ports.beliefs.give_up(shard)
            raise

    def drop(self, shard: int) -> None:
        """The shard is another's now, until `regain`."""
        self._wheel.drop(shard)

    def regain(self, shard: int) -> None:
        """The shard is ours: who is heard there is watched, and `take_over` finds the others."""
        self._wheel.regain(shard)

    async def sweep(self) -> int:
        """Looks at everybody whose time has come, in bounded batches; returns how many it looked at.
        Raises StoreUnavailable, LaneTrouble; those it could not judge come up again in a few seconds."""
        now_ms = self._ports.clock.now_ms()
        looked_at = 0
        while due := self._wheel.take_due(now_ms, MAX_SWEPT):
            looked_at += len(due)
            await self._sweep_batch(due, now_ms)
        return looked_at

    async def _sweep_batch(self, due: Sequence[Watched], now_ms: int) -> None:
        try:
            devices = await self._find([device_id for _, device_id in due])
            silent = await self._look_up(due, devices, now_ms)
            await self._ports.beliefs.advance(silent)
        except (StoreUnavailable, LaneTrouble):
            for shard, device_id in due:
                self._wheel.watch(shard, device_id, now_ms + RETRY_MS)
            raise
        for device_id, one in silent.items():
            self._watch(one.shard, device_id, one.cached.state, one.model)
            if one.cached.state is not None:
                self._ports.fresh_ids.look_at(one.shard, device_id, one.cached.state)
        self._count(silent.values())

    async def _look_up(
        self, due: Sequence[Watched], devices: Mapping[DeviceId, DeviceRecord], now_ms: int
    ) -> dict[DeviceId, _Silent]:
        wanted = {d: (shard, devices[d].device_no) for shard, d in due if d in devices}
        cached = await self._ports.beliefs.look_up(wanted)
        model = self._ports.registry.model
        return {
            d: _Silent(shard, model(devices[d].model), cached[d], now_ms) for d, (shard, _) in wanted.items()
        }

    async def _find(self, device_ids: Sequence[DeviceId]) -> dict[DeviceId, DeviceRecord]:
        registry = self._ports.registry
        found = {d: known for d in device_ids if (known := registry.known(d)) is not None}
        missing = [device_id for device_id in device_ids if device_id not in found]
        if missing:
            found.update(await registry.load(missing))
        return found

    async def _watch_all(self, shard: int, states: Mapping[DeviceId, LiveState]) -> None:
        devices = await self._find(list(states))
        for device_id, device in devices.items():
            state = states[device_id]
            self._watch(shard, device_id, state, self._ports.registry.model(device.model))
            self._ports.fresh_ids.look_at(shard, device_id, state)

    def _watch(self, shard: int, device_id: DeviceId, state: LiveState | None, model: DeviceModel) -> None:
        if state is not None:
            due_ms = next_silence_ms(state.heard_at_ms, state.presence, model)
            if due_ms is not None:
                # A state of a clock that was ahead is not left alone for as long.
                latest_ms = self._ports.clock.now_ms() + model.lost_after_s * 1000
                self._wheel.watch(shard, device_id, min(due_ms, latest_ms))

    def _count(self, silent: Iterable[_Silent]) -> None:
        changed = [one.changed for one in silent if one.changed is not None]
        if changed:
            lost = changed.count(Presence.LOST)
            self._ports.counters.fell_silent(quiet=len(changed) - lost, lost=lost)
