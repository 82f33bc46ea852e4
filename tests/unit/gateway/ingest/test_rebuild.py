"""A lost shard is made whole from what PostgreSQL has."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec import structs

from firmware_protocol.messages import Bolt, DeviceId, Lock
from firmware_protocol.topics import shard_of
from gateway.core.advance import REBUILT_ABOVE
from gateway.core.device import DeviceRecord
from gateway.core.live_state import LiveState, Presence
from gateway.ingest.rebuild import RebuildPorts, rebuild_shard
from gateway.ports import Arrived, LastReports, StoreUnavailable
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.live_states import FakeLiveStates
from tests.support.fakes.samples import arrived, bike_report

A = DeviceId("bike-a")


def bolt_report(seq: int, bolt: Bolt, openings: int) -> Arrived:
    """Of a bike whose bolt has opened so often."""
    return arrived(A, structs.replace(bike_report(seq), lock=Lock(bolt, 0, openings)))


async def rebuilt(gateway: FakeGateway, last_reports: LastReports | None = None) -> str:
    ports = RebuildPorts(
        last_reports or gateway.history,
        gateway.live_states,
        gateway.registry,
        gateway.clock,
        gateway.counters,
        lambda: "fresh",
    )
    return await rebuild_shard(shard_of(A), ports)


@pytest.fixture
async def gateway() -> FakeGateway:
    gateway = FakeGateway()
    gateway.register([A])
    await gateway.take(arrived(A, bike_report(1)), arrived(A, bike_report(9, battery_pct=3)))
    return gateway


async def test_nothing_differs_but_the_revision_and_that_never_repeats(gateway: FakeGateway) -> None:
    before = gateway.fake_states.all()[A]
    gateway.fake_states.flush()
    assert await rebuilt(gateway) == "fresh"
    after = gateway.fake_states.all()[A]
    assert after.revision > before.revision + REBUILT_ABOVE // 2
    assert structs.replace(after, revision=before.revision) == before
    assert await gateway.live_states.epoch(shard_of(A)) == "fresh"
    assert gateway.counters.counts["rebuilt_states"] == 1


async def test_who_went_silent_meanwhile_is_not_brought_back(gateway: FakeGateway) -> None:
    gateway.fake_states.flush()
    gateway.clock.advance(ms=200_000)
    await rebuilt(gateway)
    assert gateway.fake_states.all()[A].presence is Presence.QUIET
    gateway.fake_states.flush()
    gateway.clock.advance(ms=3_600_000)
    await rebuilt(gateway)
    lost = gateway.fake_states.all()[A]
    assert lost.presence is Presence.LOST
    assert lost.entry is None


async def test_an_owner_that_ends_its_rebuild_late_finds_what_the_next_one_made() -> None:
    """Redis is empty; the first owner waits for PostgreSQL until its lease runs out, and another has the lane."""
    shared = FakeLiveStates()
    owner, following = FakeGateway(shared), FakeGateway(shared)
    owner.register([A])
    following.registry, following.history = owner.registry, owner.history
    following.restart()
    await owner.take(bolt_report(1, Bolt.CLOSED, 0))
    shared.flush()
    read, answer = asyncio.Event(), asyncio.Event()

    class SlowHistory:
        async def of_shard(self, shard: int) -> Sequence[tuple[DeviceRecord, LiveState]]:
            found = await owner.history.of_shard(shard)
            read.set()
            await answer.wait()
            return found

    rebuilding = asyncio.create_task(rebuilt(owner, SlowHistory()))
    await read.wait()
    await following.take(bolt_report(2, Bolt.OPEN, 1))
    answer.set()
    with pytest.raises(StoreUnavailable):
        await rebuilding
    state = shared.all()[A]
    assert (state.seq, state.openings) == (2, 1)
    assert state.entry is not None
    assert not state.entry.available


async def test_a_rebuild_without_history_leaves_the_shard_lost(gateway: FakeGateway) -> None:
    gateway.fake_states.flush()
    gateway.interruptions.raise_always("last_reports.of_shard", lambda: StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await rebuilt(gateway)
    assert await gateway.live_states.epoch(shard_of(A)) is None
