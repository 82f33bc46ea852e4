"""The live states this process wrote or read last, bounded, and droppable per shard."""

from collections.abc import Iterator

from msgspec import Struct

from firmware_protocol.messages import DeviceId
from gateway.core.live_state import LiveState

MAX_CACHED_STATES = 250_000
"""About 250 MB of states with entries and frames; more devices than one process can hear at a heartbeat."""

NO_STAMP = -1


class CachedState(Struct):
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
    """Two generations per shard: what is not used while the young one fills up goes with the old one."""

    def __init__(self, limit: int = MAX_CACHED_STATES) -> None:
        self._generation_limit = max(1, limit // 2)
        self._young: dict[int, dict[DeviceId, CachedState]] = {}
        self._old: dict[int, dict[DeviceId, CachedState]] = {}
        self._young_count = 0

    def get(self, shard: int, device_id: DeviceId) -> CachedState | None:
        young = self._young.get(shard)
        if young is not None and (found := young.get(device_id)) is not None:
            return found
        old = self._old.get(shard)
        if old is None or (found := old.pop(device_id, None)) is None:
            return None
        self.put(shard, device_id, found)
        return found

    def put(self, shard: int, device_id: DeviceId, cached: CachedState) -> None:
        if self._young_count >= self._generation_limit:
            self._old, self._young, self._young_count = self._young, {}, 0
        young = self._young.setdefault(shard, {})
        self._young_count += device_id not in young
        young[device_id] = cached

    def forget(self, shard: int, device_id: DeviceId) -> None:
        young = self._young.get(shard)
        if young is not None and young.pop(device_id, None) is not None:
            self._young_count -= 1
        self._old.get(shard, {}).pop(device_id, None)

    def drop(self, shard: int) -> None:
        """After this nothing of the shard is remembered."""
        self._young_count -= len(self._young.pop(shard, {}))
        self._old.pop(shard, None)

    def of_shard(self, shard: int) -> Iterator[CachedState]:
        yield from self._young.get(shard, {}).values()
        yield from self._old.get(shard, {}).values()

    def __len__(self) -> int:
        return self._young_count + sum(len(states) for states in self._old.values())
