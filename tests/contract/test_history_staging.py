"""Which staged rows are stored, doubled, or reuse a stamp: the rules, without a database."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.stores.history_staging import AHEAD_WINDOW_MS, LATE_WINDOW_MS, is_late, judge
from tests.support.stored import NOW_MS, a_row

FRAMES = st.sampled_from([b"a", b"b"])


@given(st.lists(st.tuples(st.integers(1, 3), FRAMES)), st.dictionaries(st.integers(1, 3), FRAMES))
def test_rows_are_judged_as_if_they_came_one_by_one(
    staged: list[tuple[int, bytes]], before: dict[int, bytes]
) -> None:
    rows = [a_row(seq, frame=frame) for seq, frame in staged]
    firsts = {(row.device_no, row.boot, row.seq): row for row in reversed(rows)}
    stored = {
        stamp: None if before[stamp[2]] == row.frame else before[stamp[2]]
        for stamp, row in firsts.items()
        if stamp[2] in before
    }
    judged = judge(rows, firsts, stored)
    truth, doubled, reused = dict(before), 0, []
    for row in rows:
        if row.seq not in truth:
            truth[row.seq] = row.frame
        elif truth[row.seq] == row.frame:
            doubled += 1
        else:
            reused.append(row)
    assert judged.doubled == doubled
    assert list(judged.reused) == reused


def test_the_late_window_is_seven_days_and_its_edge_is_inside() -> None:
    assert not is_late(a_row(0, at_ms=NOW_MS - LATE_WINDOW_MS))
    assert is_late(a_row(0, at_ms=NOW_MS - LATE_WINDOW_MS - 1))
    assert not is_late(a_row(0, at_ms=NOW_MS + AHEAD_WINDOW_MS))
    assert is_late(a_row(0, at_ms=NOW_MS + AHEAD_WINDOW_MS + 1))
