"""A cursor says where a page ended, and of which question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.history_cursor import cursor, place_of, range_of
from gateway.reading import BadCursor, HistoryQuestion

ALL = HistoryQuestion(1, 1, "raw", 1_000, 9_000, 100, None)
numbers = st.integers(-(2**63), 2**63 - 1)


@given(st.integers(1_000, 8_999), numbers, numbers)
def test_what_is_given_back_is_the_place_and_the_range(at_ms: int, boot: int, seq: int) -> None:
    after = cursor(ALL, at_ms, boot, seq)
    assert range_of(after) == (1_000, 9_000)
    again = structs.replace(ALL, after=after, limit=7)
    assert place_of(again, 1) == (at_ms, boot, seq)


@pytest.mark.parametrize(
    "change",
    [{"device_no": 2}, {"operator_id": 2}, {"step": "1h"}, {"from_ms": 1_001}, {"to_ms": 9_001}],
)
def test_it_belongs_to_one_question(change: dict[str, int | str]) -> None:
    other = structs.replace(ALL, after=cursor(ALL, 5_000, 1, 1), **change)
    with pytest.raises(BadCursor):
        place_of(other, 1)


def test_a_place_outside_the_range_is_no_place() -> None:
    for at_ms in (998, 9_000):
        with pytest.raises(BadCursor):
            place_of(structs.replace(ALL, after=cursor(ALL, at_ms, 1, 1)), 1)
    # A step is answered whole, from before the range.
    assert place_of(structs.replace(ALL, after=cursor(ALL, 998, 1, 1)), 60_000)[0] == 998


@given(st.text(max_size=60))
def test_whatever_else_is_said_is_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        range_of(text)
