"""Rows that PostgreSQL refuses cost their batch two round trips, however many they are, and no other row its place."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.ports import Appended, HistoryBatch, HistoryRow, UnitSighting
from gateway.stores.history import PostgresHistory
from gateway.stores.history_refused import Answer, sift, unpackable
from gateway.stores.history_staging import firsts_of
from tests.support.round_trips import round_trips
from tests.support.stored import BOOT, DAY_MS, NOW_MS, a_row, ask, register

POISON_PCT = 13
BATCH_ROWS = 200
MOST_EXTRA = 2

CHECK = "alter table report add constraint poison check (battery_pct <> 13)"
TRIGGER = """
    create function refuse() returns trigger language plpgsql as
        $$ begin if new.battery_pct = 13 then raise exception 'poison'; end if; return new; end $$;
    create trigger refuse before insert on report for each row execute function refuse()
"""
DIVISION = """
    create function divide() returns trigger language plpgsql as
        $$ begin new.spaces := 1 / (new.battery_pct - 13); return new; end $$;
    create trigger divide before insert on report for each row execute function divide()
"""
SEQS = "select seq from report_all order by seq"
KEPT = "select frame from quarantine where reason = 'refused_by_store' order by quarantine_no"
SIGHTED = (UnitSighting("unit-1", 1, 1, NOW_MS),)


def as_fresh(rows: Sequence[HistoryRow]) -> HistoryBatch:
    return HistoryBatch(rows, ())


def as_doubtful(rows: Sequence[HistoryRow]) -> HistoryBatch:
    return HistoryBatch((), rows)


def as_both(rows: Sequence[HistoryRow]) -> HistoryBatch:
    return HistoryBatch(rows[::2], rows[1::2], sightings=SIGHTED)


def batch_of(first_seq: int, bad: set[int]) -> list[HistoryRow]:
    return [
        a_row(first_seq + place, battery_pct=POISON_PCT if place in bad else 50)
        for place in range(BATCH_ROWS)
    ]


async def appended_by(dsn: str, *batches: HistoryBatch) -> tuple[list[Appended], list[int]]:
    """What each batch came to, and how many round trips it took, on one connection that is used before."""
    answers, trips = [], []
    async with round_trips(dsn) as counted:
        history = PostgresHistory(counted.dsn)
        await history.append(as_fresh([a_row(0)]))
        for batch in batches:
            before = counted.count
            answers.append(await history.append(batch))
            trips.append(counted.count - before)
        await history.close()
    return answers, trips


@pytest.mark.parametrize("divide", [as_fresh, as_doubtful, as_both])
@pytest.mark.parametrize("bad", [{0}, {199}, set(range(0, BATCH_ROWS, 5))])
async def test_refused_rows_cost_their_batch_two_round_trips_however_many_they_are(
    database: str, divide: Callable[[Sequence[HistoryRow]], HistoryBatch], bad: set[int]
) -> None:
    register(database, "bike-a")
    ask(database, CHECK)
    rows = batch_of(1 + BATCH_ROWS, bad)
    (_, appended), (whole, holed) = await appended_by(database, divide(batch_of(1, set())), divide(rows))
    assert appended.refused == {(1, BOOT, rows[place].seq) for place in bad}
    assert holed <= whole + MOST_EXTRA
    stored = {seq for (seq,) in ask(database, SEQS)}
    assert stored == {*range(2 * BATCH_ROWS + 1)} - {rows[place].seq for place in bad}
    assert {frame for (frame,) in ask(database, KEPT)} == {rows[place].frame for place in bad}


async def test_round_trips_are_counted(database: str) -> None:
    """A COPY is two: the leave to send rows, and what became of them."""
    _, trips = await appended_by(database, as_fresh(batch_of(1, set())), as_fresh(batch_of(1, set())))
    assert trips[0] == 2
    assert trips[1] > trips[0]


@pytest.mark.parametrize("obstacle", [CHECK, TRIGGER, DIVISION])
async def test_whatever_refuses_a_row_its_word_is_kept_and_the_others_are_stored(
    database: str, obstacle: str
) -> None:
    register(database, "bike-a")
    ask(database, obstacle)
    (appended,), _ = await appended_by(database, as_fresh(batch_of(1, {7})))
    assert appended == Appended(0, frozenset(), frozenset({(1, BOOT, 8)}))
    assert len(ask(database, SEQS)) == BATCH_ROWS
    ((place,),) = ask(database, "select place from quarantine")
    assert place.startswith(f"boot {BOOT} seq 8: ")
    assert "poison" in place or "division" in place


async def test_a_late_row_that_is_refused_is_found_as_well(database: str) -> None:
    register(database, "bike-a")
    ask(database, CHECK.replace("report", "history_late"))
    late = [a_row(seq, at_ms=NOW_MS - 8 * DAY_MS, battery_pct=11 + seq) for seq in (1, 2, 3)]
    (appended,), _ = await appended_by(database, as_fresh([*late, a_row(4)]))
    assert appended.refused == {(1, BOOT, 2)}
    assert ask(database, SEQS) == [(0,), (1,), (3,), (4,)]


async def test_what_was_stored_before_stays_known_beside_refused_rows(database: str) -> None:
    register(database, "bike-a")
    ask(database, CHECK)
    rows = batch_of(1, {3})
    again = [*rows, structs.replace(rows[5], frame=b"other")]
    (_, appended), _ = await appended_by(database, as_fresh(batch_of(1, {3})[:100]), as_doubtful(again))
    assert appended.doubled == 99
    assert appended.stamp_reused == {(1, BOOT, 6)}
    assert appended.refused == {(1, BOOT, 4)}
    assert len(ask(database, SEQS)) == BATCH_ROWS


@pytest.mark.parametrize(
    ("impossible", "possible"),
    [
        ({"battery_pct": 40_000}, {"battery_pct": 100}),
        ({"accuracy_m": 1e300}, {"accuracy_m": 1e30}),
        ({"at_ms": 2**60}, {"at_ms": NOW_MS + 4000 * DAY_MS}),
        ({"at_ms": -(2**52)}, {"at_ms": 1000}),
    ],
)
async def test_a_row_that_no_column_can_hold_is_found_without_asking(
    database: str, impossible: dict[str, float], possible: dict[str, float]
) -> None:
    register(database, "bike-a")
    rows = batch_of(1, set())
    good, bad = structs.replace(rows[50], **possible), structs.replace(rows[50], **impossible)
    assert [one.row for one in unpackable([*rows, good, bad])] == [bad]
    (_, holed, alone), (whole, trips, _) = await appended_by(
        database,
        as_fresh([*batch_of(1 + BATCH_ROWS, set()), structs.replace(good, seq=1000)]),
        as_fresh([*rows[:50], bad, *rows[51:]]),
        as_fresh([bad]),
    )
    assert holed.refused == alone.refused == {(1, BOOT, 51)}
    assert trips <= whole + MOST_EXTRA
    assert len(ask(database, SEQS)) == 1 + BATCH_ROWS + 1 + BATCH_ROWS - 1


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from([b"a", b"b"]))), st.sets(st.integers(1, 3)))
def test_a_row_shares_the_fate_of_the_first_of_its_stamp_where_that_is_refused(
    staged: list[tuple[int, bytes]], bad: set[int]
) -> None:
    rows = [a_row(seq, frame=frame) for seq, frame in staged]
    answers: list[Answer] = [(1, BOOT, seq, None, "no\nbecause") for seq in bad]
    sifted = sift(rows, firsts_of(rows), answers)
    assert [one.row for one in sifted.refused] == [row for row in rows if row.seq in bad]
    assert {one.why for one in sifted.refused} <= {"no"}
    assert not bad & {row.seq for row in sifted.judged.reused}
