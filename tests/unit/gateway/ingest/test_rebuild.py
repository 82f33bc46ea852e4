"""A lost shard is made whole from what PostgreSQL has."""

import pytest
from msgspec import structs

from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import shard_of
from gateway.core.advance import REBUILT_ABOVE
from gateway.core.live_state import Presence
from gateway.ingest.rebuild import RebuildPorts, rebuild_shard
from gateway.ports import StoreUnavailable
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.samples import arrived, bike_report

A = DeviceId("bike-a")


async def rebuilt(gateway: FakeGateway) -> str:
    ports = RebuildPorts(
        gateway.history,
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
    gateway.clock.advance(ms=200_000)
    await rebuilt(gateway)
    assert gateway.fake_states.all()[A].presence is Presence.QUIET
    gateway.clock.advance(ms=3_600_000)
    await rebuilt(gateway)
    lost = gateway.fake_states.all()[A]
    assert lost.presence is Presence.LOST
    assert lost.entry is None


async def test_a_rebuild_without_history_leaves_the_shard_lost(gateway: FakeGateway) -> None:
    gateway.fake_states.flush()
    gateway.interruptions.raise_always("last_reports.of_shard", lambda: StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await rebuilt(gateway)
    assert await gateway.live_states.epoch(shard_of(A)) is None
