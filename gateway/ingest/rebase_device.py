"""Letting a device begin its numbering anew, on a person's order."""

from msgspec import Struct

from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import shard_of
from gateway.core.advance import Advanced
from gateway.core.live_state import LiveState
from gateway.core.rebase import rebase
from gateway.ingest.beliefs import Beliefs
from gateway.ingest.state_cache import CachedState
from gateway.ports import HistoryBatch, HistoryStore, LastReport, Registry


class UnknownDevice(Exception):
    """The registry has no such device, or it was never heard."""

    def __init__(self, device_id: DeviceId) -> None:
        super().__init__(f"{device_id}: not registered, or never heard")
        self.device_id = device_id


class _Rebased(Struct):
    shard: int
    cached: CachedState

    def propose(self, state: LiveState | None) -> Advanced | None:
        return None if state is None else rebase(state)


async def rebase_device(
    device_id: DeviceId, registry: Registry, beliefs: Beliefs, history: HistoryStore
) -> None:
    """The next report counts as the newest, whatever its stamp. May run beside the gateway that owns the lane.
    Raises UnknownDevice, StoreUnavailable, LaneTrouble."""
    device = registry.known(device_id) or (await registry.load([device_id])).get(device_id)
    if device is None:
        raise UnknownDevice(device_id)
    shard = shard_of(device_id)
    taken_ms = await registry.time_ms()
    cached = (await beliefs.look_up({device_id: (shard, device.device_no)}))[device_id]
    await beliefs.advance({device_id: _Rebased(shard, cached)})
    if cached.state is None:
        raise UnknownDevice(device_id)
    # A rebuild must not bring the old stamp back, neither from what was saved nor from history.
    last_reports = [LastReport(device.device_no, cached.state, taken_ms, rebased=True)]
    await history.append(HistoryBatch(rows=(), doubtful=(), last_reports=last_reports))
