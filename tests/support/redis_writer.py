"""What a gateway does to Redis, for tests that need no gateway."""

import asyncio
import time
from collections.abc import Iterator, Sequence

from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import SHARDS, shard_of
from gateway.core.live_state import LiveState, MapEntry, Presence, Reason
from gateway.ports import ShardSteps, Step
from gateway.stores.live_states import RedisLiveStates
from gateway.stores.redis_link import RedisLink


class RedisWriter:
    """Begins every shard and changes devices, compare-and-set as ever."""

    def __init__(self, url: str) -> None:
        self._link = RedisLink(url, name="test-writer")
        self._states = RedisLiveStates(self._link)
        self._revisions: dict[DeviceId, int] = {}
        self.epoch = ""

    async def begin(self, epoch: str, entries: list[MapEntry]) -> None:
        self.epoch = epoch
        self._revisions = {one.device_id: 1 for one in entries}
        for shard in range(SHARDS):
            states = {
                one.device_id: live_state(1, one) for one in entries if shard_of(one.device_id) == shard
            }
            if (standing := await self._states.epoch(shard)) is not None:
                await self._states.give_up(shard, standing)
            await self._states.rebuild(shard, epoch, states)

    async def put(self, device_id: DeviceId, after: MapEntry | None, *, frame: bytes = b"") -> None:
        before = self._revisions.get(device_id, 0)
        self._revisions[device_id] = before + 1
        step = Step(device_id, before, live_state(before + 1, after, frame), True)
        assert not await self._states.advance([ShardSteps(shard_of(device_id), self.epoch, [step])])

    async def put_all(self, entries: Sequence[MapEntry]) -> None:
        """One change of each of these different devices, in one round trip."""
        by_shard: dict[int, list[Step]] = {}
        for one in entries:
            before = self._revisions.get(one.device_id, 0)
            self._revisions[one.device_id] = before + 1
            step = Step(one.device_id, before, live_state(before + 1, one), True)
            by_shard.setdefault(shard_of(one.device_id), []).append(step)
        shards = [ShardSteps(shard, self.epoch, steps) for shard, steps in by_shard.items()]
        assert not await self._states.advance(shards)

    async def close(self) -> None:
        await self._link.close()


def live_state(revision: int, after: MapEntry | None, frame: bytes = b"") -> LiveState:
    reasons = after.reasons if after is not None else ((int(Reason.LOST), 1),)
    now_ms = time.time_ns() // 1_000_000
    return LiveState(revision, 0, revision, now_ms, now_ms, Presence.ONLINE, frame, reasons, (), after)


async def write_at_a_rate(
    writer: RedisWriter, batches: Iterator[Sequence[MapEntry]], *, batches_per_s: float
) -> None:
    """Writes batches evenly over time until they end; a slow machine writes fewer."""
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    for batch in batches:
        await writer.put_all(batch)
        due_s = max(due_s + 1 / batches_per_s, loop.time())
        # The rate of the load, not a wait for something to happen.
        await asyncio.sleep(due_s - loop.time())
