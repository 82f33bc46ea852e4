"""The live states this process wrote or read last, bounded, and droppable per shard."""

from collections.abc import Iterator

from msgspec import Struct

from firmware_protocol.messages import DeviceId
from gateway.core.live_state import LiveState

MAX_CACHED_STATES = 250_000
"""Measured: 230 MB with frames of 56 bytes. A process that hears more devices reads some of them anew."""

NO_STAMP = -1


class CachedState(Struct, gc=False):
    """What the process knows of one device beyond its registry record."""

    device_no: int
    state: LiveState | None
    committed_boot: int = NO_STAMP
    committed_seq: int = NO_STAMP
    """The newest stamp this very process has committed: what it read from elsewhere proves nothing."""
    units: dict[int, str] = {}
    """Slot to unit id, as last sighted."""
    saved_at_ms: int = 0
    saved_revision: int = 0
    """What `last_report` holds."""
    late_since_ms: int = 0
    """Receipt of the first of an unbroken row of late reports; 0 outside one."""
    late_alarmed: bool = False
    kept_lost: int = -1
    """The highest the device said that was alarmed about; -1 until the stored report was asked."""
    kept_lost_said_ms: int = 0
    """When it was."""
    doubted: bool = False
    """To be read again before it is used: the device's reports do not fit what is believed."""

    def newest_known(self) -> tuple[int, int]:
        """The highest stamp committed here or believed by the store."""
        committed = (self.committed_boot, self.committed_seq)
        state = self.state
        if state is None:
            return committed
        believed = (state.boot, state.seq)
        return believed if believed > committed else committed

    def learn(self, state: LiveState | None) -> None:
        """Takes over what the store holds. A stamp below the committed one was set back by a person, so
        what was committed before says nothing about the numbers that come now."""
        self.state = state
        self.doubted = False
        if state is not None and (state.boot, state.seq) < (self.committed_boot, self.committed_seq):
            self.committed_boot = self.committed_seq = NO_STAMP


class StateCache:
    """Everything stays until the limit is reached. Then a new turn begins: what is used moves over into it, and
    for every newcomer one of those not used since goes."""

    def __init__(self, limit: int = MAX_CACHED_STATES) -> None:
        self._limit = limit
        self._young: dict[int, dict[DeviceId, CachedState]] = {}
        self._old: dict[int, dict[DeviceId, CachedState]] = {}
        self._count = 0

    def get(self, shard: int, device_id: DeviceId) -> CachedState | None:
        young = self._young.get(shard)
        if young is not None and (found := young.get(device_id)) is not None:
            return found
        old = self._old.get(shard)
        if old is None or (found := old.pop(device_id, None)) is None:
            return None
        self._young.setdefault(shard, {})[device_id] = found
        return found

    def put(self, shard: int, device_id: DeviceId, cached: CachedState) -> None:
        if self.get(shard, device_id) is None:
            if self._count >= self._limit:
                self._make_room()
            self._count += 1
        self._young.setdefault(shard, {})[device_id] = cached

    def forget(self, shard: int, device_id: DeviceId) -> None:
        if self.get(shard, device_id) is not None:
            del self._young[shard][device_id]
            self._count -= 1

    def drop(self, shard: int) -> None:
        """After this nothing of the shard is remembered."""
        self._count -= len(self._young.pop(shard, ())) + len(self._old.pop(shard, ()))

    def of_shard(self, shard: int) -> Iterator[CachedState]:
        yield from self._young.get(shard, {}).values()
        yield from self._old.get(shard, {}).values()

    def __len__(self) -> int:
        return self._count

    def _make_room(self) -> None:
        self._old = {shard: states for shard, states in self._old.items() if states} or self._turn()
        next(iter(self._old.values())).popitem()
        self._count -= 1

    def _turn(self) -> dict[int, dict[DeviceId, CachedState]]:
        old, self._young = self._young, {}
        return {shard: states for shard, states in old.items() if states}
