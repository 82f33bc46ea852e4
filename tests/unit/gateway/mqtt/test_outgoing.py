"""Packet ids that are in use are not given again, and the broker's limit is kept."""

from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mqtt.outgoing import MAX_UNACKED, Outgoing


def opened(receive_max: int = 65_535) -> Outgoing:
    outgoing = Outgoing()
    outgoing.open()
    outgoing.allow(receive_max)
    return outgoing


@settings(max_examples=200)
@given(
    receive_max=st.integers(1, 20),
    steps=st.lists(st.one_of(st.just("take"), st.integers(0, 30), st.just("open")), max_size=80),
)
def test_whatever_happens_ids_are_unique_and_within_the_window(
    receive_max: int, steps: list[str | int]
) -> None:
    outgoing = opened(receive_max)
    waiting: dict[int, UUID] = {}
    for step in steps:
        if step == "take":
            tag = uuid4()
            packet_id = outgoing.take(tag)
            assert (packet_id is None) == (len(waiting) == receive_max)
            if packet_id is not None:
                assert packet_id not in waiting
                assert 1 <= packet_id <= 65_535
                waiting[packet_id] = tag
        elif step == "open":
            outgoing.open()
            assert outgoing.take(uuid4()) is None
            outgoing.allow(receive_max)
            waiting.clear()
        elif isinstance(step, int) and waiting:
            packet_id = sorted(waiting)[step % len(waiting)]
            assert outgoing.settle(packet_id) == waiting.pop(packet_id)
            assert outgoing.settle(packet_id) is None
        assert outgoing.unacked == len(waiting)


def test_ids_go_round_past_those_in_use() -> None:
    outgoing = opened()
    subscribe_id = outgoing.subscribe_id()
    held = outgoing.take(uuid4())
    seen = set()
    for _ in range(70_000):
        packet_id = outgoing.take(uuid4())
        assert packet_id is not None
        assert packet_id not in (0, subscribe_id, held)
        seen.add(packet_id)
        outgoing.settle(packet_id)
    assert len(seen) == 65_535 - 2


def test_a_generous_broker_is_not_given_more_than_our_own_bound() -> None:
    outgoing = opened()
    taken = [outgoing.take(uuid4()) for _ in range(MAX_UNACKED + 1)]
    assert taken[-1] is None
    assert None not in taken[:-1]
