"""Bounded, and droppable per shard."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from firmware_protocol.messages import DeviceId
from gateway.ingest.state_cache import NO_STAMP, CachedState, StateCache
from tests.support.fakes.samples import BOOT, state

A = DeviceId("bike-a")


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.booleans()), max_size=200))
def test_it_never_holds_more_than_its_limit_and_always_the_last_used(
    uses: list[tuple[int, int, bool]],
) -> None:
    cache = StateCache(limit=10)
    for shard, number, dropped in uses:
        device_id = DeviceId(f"bike-{number}")
        if dropped:
            cache.drop(shard)
            assert cache.get(shard, device_id) is None
        else:
            one = cache.get(shard, device_id) or CachedState(number, None)
            cache.put(shard, device_id, one)
            assert cache.get(shard, device_id) is one
        assert len(cache) <= 10
        assert len(cache) == sum(len(list(cache.of_shard(shard))) for shard in range(3))


def test_what_is_used_stays_and_what_is_not_goes() -> None:
    cache = StateCache(limit=10)
    cache.put(0, A, CachedState(1, None))
    for number in range(100):
        cache.put(0, DeviceId(f"bike-{number}"), CachedState(number, None))
        assert cache.get(0, A) is not None
    assert cache.get(0, DeviceId("bike-50")) is None


def test_a_fleet_within_the_limit_is_never_read_twice() -> None:
    cache = StateCache(limit=10)
    missed = 0
    for turn in range(50):
        device_id = DeviceId(f"bike-{turn % 9}")
        if cache.get(turn % 9 % 2, device_id) is None:
            missed += 1
            cache.put(turn % 9 % 2, device_id, CachedState(turn, None))
    assert missed == 9


def test_a_forgotten_device_is_not_found_in_either_generation() -> None:
    cache = StateCache(limit=4)
    for number in range(3):
        cache.put(0, DeviceId(f"bike-{number}"), CachedState(number, None))
    for number in range(3):
        cache.forget(0, DeviceId(f"bike-{number}"))
    assert len(cache) == 0


def test_the_newest_known_stamp_is_the_higher_of_committed_and_believed() -> None:
    cached = CachedState(1, None)
    assert cached.newest_known() == (NO_STAMP, NO_STAMP)
    cached.learn(state(A, 4))
    assert cached.newest_known() == (BOOT, 4)
    cached.committed_boot, cached.committed_seq = BOOT, 9
    assert cached.newest_known() == (BOOT, 9)


def test_a_stamp_set_back_in_the_store_clears_what_was_committed() -> None:
    cached = CachedState(1, state(A, 9), committed_boot=BOOT, committed_seq=9)
    cached.learn(structs.replace(state(A, 10), boot=0, seq=-1))
    assert cached.newest_known() == (0, -1)
