"""A device that draws ever new units is held to its share of an hour."""

from collections import Counter

import pytest

from firmware_protocol.topics import shard_of
from gateway.ingest.sighting_quota import HOUR_MS, MAX_SIGHTINGS_OF_AN_HOUR, SightingQuota
from gateway.ports import StoreUnavailable, UnitSighting
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.samples import arrived, cabinet_report


def seen(device_no: int, *units: int) -> list[UnitSighting]:
    return [UnitSighting(f"u-{unit}", device_no, 1, 0) for unit in units]


def test_nobody_exceeds_the_share_nobody_pays_for_another_and_the_next_hour_begins_anew() -> None:
    quota = SightingQuota(3)
    first = [*seen(1, 1, 2), *seen(2, 1), *seen(1, 3, 4)]
    due = quota.due(first, 0)
    assert due == [*seen(1, 1, 2), *seen(2, 1), *seen(1, 3)]
    quota.written(due)
    assert quota.due([*seen(1, 5), *seen(2, 5)], HOUR_MS - 1) == seen(2, 5)
    assert quota.due(seen(1, 6), HOUR_MS) == seen(1, 6)


def test_what_was_not_committed_is_not_counted() -> None:
    quota = SightingQuota(1)
    assert [len(quota.due(seen(1, 1, 2), 0)) for _ in range(5)] == [1] * 5


async def test_ever_new_units_of_one_device_are_bounded_also_when_it_has_its_state_dropped() -> None:
    gateway = FakeGateway()
    loud, quiet = gateway.register(["cab-1", "cab-2"], model="cabinet")
    for seq in range(1, MAX_SIGHTINGS_OF_AN_HOUR // 4 + 51):
        units = {number: f"u-{seq}-{number}" for number in (1, 2, 3, 4)}
        await gateway.take(arrived(loud.device_id, cabinet_report(seq, units)))
        gateway.beliefs.cache.forget(shard_of(loud.device_id), loud.device_id)
    await gateway.take(arrived(quiet.device_id, cabinet_report(1, {1: "u-1", 3: "u-3"})))
    noted = Counter(sighting.device_no for sighting in gateway.history.sightings)
    assert noted == {loud.device_no: MAX_SIGHTINGS_OF_AN_HOUR, quiet.device_no: 2}
    assert gateway.counters.counts["sightings_beyond"] == 200


async def test_a_store_that_is_away_uses_up_no_share() -> None:
    gateway = FakeGateway()
    (device,) = gateway.register(["cab-1"], model="cabinet")
    report = arrived(device.device_id, cabinet_report(1, {1: "u-1", 2: "u-2"}))
    gateway.interruptions.raise_always("history.append", lambda: StoreUnavailable("away"))
    for _ in range(MAX_SIGHTINGS_OF_AN_HOUR):
        with pytest.raises(StoreUnavailable):
            await gateway.take(report)
    gateway.interruptions.heal()
    await gateway.take(report)
    assert [sighting.unit_id for sighting in gateway.history.sightings] == ["u-1", "u-2"]
    assert gateway.counters.counts["sightings_beyond"] == 0
