"""Live states are changed by compare-and-set, and rebuilt when they are lost."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from msgspec import Struct, structs

from firmware_protocol.messages import DeviceId
from gateway.core.advance import Advanced
from gateway.core.live_state import LiveState
from gateway.ingest.beliefs import MAX_ROUNDS, Beliefs, LaneTrouble, unsaved
from gateway.ingest.state_cache import CachedState
from gateway.ports import ShardSteps, StoreUnavailable
from tests.support.fakes.counters import FakeCounters
from tests.support.fakes.live_states import FakeLiveStates
from tests.support.fakes.samples import state

A, B = DeviceId("bike-a"), DeviceId("bike-b")


class Raised(Struct):
    """Raises the revision of one device by one."""

    shard: int
    cached: CachedState
    asked: int = 0

    def propose(self, before: LiveState | None) -> Advanced:
        self.asked += 1
        after = state(A, 1) if before is None else structs.replace(before, revision=before.revision + 1)
        return Advanced(before, after, True)


class SlowStates(FakeLiveStates):
    """Others have a turn before it answers, as with every store that is not in memory."""

    answers_later = False

    async def load(self, by_shard: Mapping[int, Sequence[DeviceId]]) -> Mapping[DeviceId, LiveState]:
        loaded = await super().load(by_shard)
        if self.answers_later:
            await asyncio.sleep(0)
        return loaded


class Bench:
    """Beliefs over a store in memory; every rebuild starts the next epoch with these states."""

    def __init__(self) -> None:
        self.store = SlowStates()
        self.counters = FakeCounters()
        self.rebuilt: list[int] = []
        self.saved: dict[DeviceId, LiveState] = {}
        self.beliefs = Beliefs(self.store, self._rebuild, self.counters)

    async def held(self, *wanted: tuple[int, DeviceId]) -> dict[DeviceId, Raised]:
        cached = await self.beliefs.look_up({device_id: (shard, 1) for shard, device_id in wanted})
        return {device_id: Raised(shard, cached[device_id]) for shard, device_id in wanted}

    async def _rebuild(self, shard: int) -> str:
        self.rebuilt.append(shard)
        await asyncio.sleep(0)
        epoch = f"epoch-{len(self.rebuilt)}"
        await self.store.rebuild(shard, epoch, dict(self.saved))
        return epoch


async def test_a_state_is_read_once_and_then_known() -> None:
    bench = Bench()
    bench.saved = {A: state(A, 5)}
    first = await bench.held((7, A))
    assert first[A].cached.state == state(A, 5)
    assert await bench.beliefs.advance(first) == 1
    second = await bench.held((7, A))
    assert second[A].cached is first[A].cached
    assert bench.store.all()[A].revision == 6
    assert bench.rebuilt == [7]


async def test_two_that_read_a_state_at_once_know_the_same_of_it() -> None:
    """Or what a batch has committed of a device would be forgotten with the one of the two that is not kept."""
    bench = Bench()
    bench.saved = {A: state(A, 5)}
    await bench.beliefs.epoch(7)
    bench.store.answers_later = True
    batch, sweep = await asyncio.gather(bench.held((7, A)), bench.held((7, A)))
    assert batch[A].cached is sweep[A].cached is bench.beliefs.cache.get(7, A)


async def test_a_mismatch_is_read_again_and_proposed_again() -> None:
    bench = Bench()
    held = await bench.held((7, A))
    bench.store.put(7, A, state(A, 8))
    await bench.beliefs.advance(held)
    assert held[A].asked == 2
    assert bench.store.all()[A].revision == 9
    assert bench.counters.counts["mismatched"] == 1


async def test_what_was_prepared_is_sent_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    held = await bench.held((7, A), (8, B))
    monkeypatch.setattr(bench.store, "pack", lambda part: structs.replace(part, packed=b"ready"))
    prepared = bench.beliefs.prepare(held)
    sent: list[Sequence[ShardSteps]] = []
    advance = bench.store.advance

    async def noted(shards: Sequence[ShardSteps]) -> frozenset[DeviceId]:
        sent.append(shards)
        return await advance(shards)

    monkeypatch.setattr(bench.store, "advance", noted)
    assert await bench.beliefs.advance(held, prepared) == 2
    assert [part.packed for part in sent[0]] == [b"ready", b"ready"]
    assert (held[A].asked, held[B].asked) == (1, 1)


async def test_a_shard_that_was_lost_since_it_was_prepared_is_rebuilt_first() -> None:
    bench = Bench()
    held = await bench.held((7, A))
    prepared = bench.beliefs.prepare(held)
    bench.store.flush()
    await bench.beliefs.check(7)
    assert await bench.beliefs.advance(held, prepared) == 1
    assert (bench.rebuilt, bench.store.all()[A].revision) == ([7, 7], 1)


async def test_a_state_that_changed_since_it_was_prepared_is_read_again() -> None:
    bench = Bench()
    held = await bench.held((7, A))
    prepared = bench.beliefs.prepare(held)
    bench.store.put(7, A, state(A, 8))
    assert await bench.beliefs.advance(held, prepared) == 1
    assert (held[A].asked, bench.store.all()[A].revision) == (2, 9)


async def test_nothing_is_packed_for_a_shard_whose_epoch_is_not_known() -> None:
    bench = Bench()
    held = await bench.held((7, A), (8, B))
    bench.beliefs.drop(8)
    prepared = bench.beliefs.prepare(held)
    assert (len(prepared.steps), len(prepared.parts)) == (2, 0)
    assert await bench.beliefs.advance(held, prepared) == 2


async def test_after_three_mismatches_the_lane_is_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    held = await bench.held((7, A), (8, B))
    advance = bench.store.advance

    async def interfered(shards: Sequence[ShardSteps]) -> frozenset[DeviceId]:
        return await advance([part for part in shards if part.shard == 8]) | {A}

    monkeypatch.setattr(bench.store, "advance", interfered)
    with pytest.raises(LaneTrouble) as trouble:
        await bench.beliefs.advance(held)
    assert trouble.value.shards == {7}
    assert (held[A].asked, held[B].asked) == (MAX_ROUNDS, 1)
    assert bench.beliefs.cache.get(7, A) is None
    assert bench.beliefs.cache.get(8, B) is held[B].cached


async def test_a_store_that_lost_everything_is_rebuilt_within_one_advance() -> None:
    bench = Bench()
    devices = [(shard, DeviceId(f"bike-{shard}")) for shard in range(16)]
    held = await bench.held(*devices)
    await bench.beliefs.advance(held)
    bench.store.flush()
    await bench.beliefs.advance(held)
    assert sorted(bench.rebuilt) == sorted([*range(16), *range(16)])
    assert len(bench.store.all()) == 16


async def test_a_shard_is_rebuilt_once_however_many_ask() -> None:
    bench = Bench()
    epochs = await asyncio.gather(*(bench.beliefs.epoch(7) for _ in range(5)))
    assert epochs == ["epoch-1"] * 5


async def test_a_loss_is_noticed_by_looking_and_another_owners_epoch_is_taken_over() -> None:
    bench = Bench()
    await bench.beliefs.check(7)
    assert bench.rebuilt == [7]
    await bench.beliefs.check(7)
    assert bench.rebuilt == [7]
    bench.store.flush()
    await bench.beliefs.check(7)
    assert bench.rebuilt == [7, 7]
    bench.store.flush()
    await bench.store.rebuild(7, "theirs", {})
    await bench.beliefs.check(7)
    assert bench.rebuilt == [7, 7]
    assert await bench.beliefs.epoch(7) == "theirs"


async def test_what_another_look_has_rebuilt_meanwhile_is_not_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two flows notice the same loss: who is answered last would forget what the first has learned since."""
    bench = Bench()
    await bench.beliefs.check(7)
    bench.store.flush()
    epoch = bench.store.epoch
    held: dict[DeviceId, Raised] = {}

    async def answered_late(shard: int) -> str | None:
        monkeypatch.undo()
        answer = await epoch(shard)
        await bench.beliefs.check(shard)
        held.update(await bench.held((shard, A)))
        return answer

    monkeypatch.setattr(bench.store, "epoch", answered_late)
    await bench.beliefs.check(7)
    assert bench.rebuilt == [7, 7]
    assert bench.beliefs.cache.get(7, A) is held[A].cached


async def test_an_unreachable_store_is_not_an_empty_one() -> None:
    bench = Bench()
    interrupted = bench.store._interruptions
    interrupted.raise_always("live_states.load", lambda: StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await bench.held((7, A))
    assert len(bench.beliefs.cache) == 0


def test_unsaved_are_those_last_report_does_not_hold() -> None:
    new, saved, unheard = (
        CachedState(1, state(A, 5)),
        CachedState(2, state(A, 5), saved_revision=5),
        CachedState(3, None),
    )
    assert list(unsaved([new, saved, unheard])) == [new]
