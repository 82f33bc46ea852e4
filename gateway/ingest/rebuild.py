"""Making a lost shard of live states whole again from what PostgreSQL has."""

from collections.abc import Callable

from msgspec import Struct, structs

from firmware_protocol.messages import DeviceId
from gateway.core.advance import REBUILT_ABOVE
from gateway.core.live_state import LiveState
from gateway.core.silence import hear_nothing
from gateway.counters import IngestCounters
from gateway.ports import Clock, LastReports, LiveStates, Registry


class RebuildPorts(Struct, frozen=True):
    """What a rebuild needs of the world."""

    last_reports: LastReports
    live_states: LiveStates
    registry: Registry
    clock: Clock
    counters: IngestCounters
    new_epoch: Callable[[], str]
    """A random name for the new life of the shard's feed."""


async def rebuild_shard(shard: int, ports: RebuildPorts) -> str:
    """Replaces whatever Redis holds of a lost shard and starts a new feed epoch, which it returns. Raises
    StoreUnavailable; the shard then still counts as lost, or another rebuilt it while PostgreSQL was read."""
    now_ms = ports.clock.now_ms()
    states: dict[DeviceId, LiveState] = {}
    for device, known in await ports.last_reports.of_shard(shard):
        state = structs.replace(known, revision=known.revision + REBUILT_ABOVE)
        silent = hear_nothing(state, ports.registry.model(device.model), now_ms)
        states[device.device_id] = state if silent is None else silent.after
    epoch = ports.new_epoch()
    await ports.live_states.rebuild(shard, epoch, states)
    ports.counters.shard_rebuilt(shard, len(states))
    return epoch
