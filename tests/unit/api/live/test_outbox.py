"""Whatever happens between two drains, the client ends with what is true."""

from hypothesis import given
from hypothesis import strategies as st

from api.live.outbox import ChangeOutbox
from gateway.core.live_state import MapEntry
from tests.unit.api.live.entries import entry

happenings = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 4), st.one_of(st.none(), st.integers(1, 1000))),
        st.integers(1, 4).map(lambda limit: ("drain", limit)),
    ),
    max_size=60,
)


def _drained(outbox: ChangeOutbox, client: dict[str, MapEntry], limit: int) -> None:
    parcel = outbox.drain(limit)
    assert len(parcel.shown) + len(parcel.moved) + len(parcel.vanished) <= limit
    for public_id in parcel.vanished:
        del client[public_id]
    for one in parcel.moved:
        assert one.public_id in client
        assert one.at_ms > client[one.public_id].at_ms
        client[one.public_id] = one
    for one in parcel.shown:
        assert one.public_id not in client
        client[one.public_id] = one
    assert outbox.told == len(client)


@given(happenings)
def test_a_client_that_drains_when_it_likes_ends_with_the_truth(
    steps: list[tuple[object, int | None]],
) -> None:
    outbox, truth, client = ChangeOutbox(), dict[str, MapEntry](), dict[str, MapEntry]()
    outbox.begin([])
    for turn, (what, value) in enumerate(steps):
        if what == "drain":
            assert value is not None
            _drained(outbox, client, value)
            continue
        public_id = f"p{what}"
        if value is None:
            if truth.pop(public_id, None) is not None:
                outbox.vanish(public_id)
            continue
        now = entry(0, public_id=public_id, at_ms=turn + 1)
        outbox.move(now) if public_id in truth else outbox.show(now)
        truth[public_id] = now
        assert outbox.due == len(truth)
        assert len(outbox) <= len(truth) + len(client)
    while len(outbox):
        _drained(outbox, client, 3)
    assert client == truth


def test_shown_and_vanished_before_a_drain_is_nothing() -> None:
    outbox = ChangeOutbox()
    outbox.show(entry(1))
    outbox.vanish("p1")
    assert len(outbox) == 0


def test_vanished_and_shown_before_a_drain_is_moved() -> None:
    outbox = ChangeOutbox()
    outbox.begin([entry(1)])
    outbox.drain(10)
    outbox.vanish("p1")
    outbox.show(entry(1, at_ms=2))
    parcel = outbox.drain(10)
    assert (parcel.shown, parcel.moved, parcel.vanished) == ([], [entry(1, at_ms=2)], [])


def test_farewells_leave_before_arrivals() -> None:
    outbox = ChangeOutbox()
    outbox.begin([entry(1)])
    outbox.drain(10)
    outbox.show(entry(2))
    outbox.vanish("p1")
    assert outbox.drain(1).vanished == ["p1"]
    assert outbox.drain(1).shown == [entry(2)]
