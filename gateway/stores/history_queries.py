"""Stored reports as people ask for them: raw or by the minute, hour or day, page by page."""

import asyncio
from collections.abc import Sequence
from typing import Any

from gateway.history_cursor import cursor, place_of
from gateway.ports import StoreUnavailable
from gateway.reading import BadRange, HistoryPage, HistoryQuestion, RawPoint, Step, StepPoint
from gateway.stores.instants import instant, unix_ms
from gateway.stores.postgres_link import Arguments
from gateway.stores.reading_pool import WAIT_S, ReadingPool

_DAY_MS = 86_400_000
STEP_MS: dict[Step, int] = {"raw": 1, "1m": 60_000, "1h": 3_600_000, "1d": _DAY_MS}

WIDEST_MS: dict[Step, int] = {
    "raw": 92 * _DAY_MS,
    "1m": 400 * _DAY_MS,
    "1h": 6 * 366 * _DAY_MS,
    "1d": 60 * 366 * _DAY_MS,
}
"""Raw and minutes are not kept for longer; hours and days: some fifty thousand points."""

MAX_POINTS = 10_000
"""One answer of some 2 MB."""

AT_ONCE = 2
"""Of the connections of the pool: a year of days takes seconds, and keys and revocations are read through it too."""

_RAW = """
    select at, boot, seq, received_at, clock_suspect, kept, lat_e7, lon_e7, accuracy_m,
           battery_pct, bolt, moving, units, spaces, signal_dbm
    from report_all
    where device_no = %(device_no)s and operator_id = %(operator_id)s and at >= %(from_at)s and at < %(to_at)s
      and (at, boot, seq) > (%(after_at)s, %(after_boot)s, %(after_seq)s)
    order by at, boot, seq
    limit %(limit)s
"""
_STEPS = """
    select bucket, 0::bigint, 0::bigint, reports, lat_e7, lon_e7, battery_min_pct, battery_max_pct,
           units_min, units_max, spaces_min, spaces_max, battery_last_pct, units_last, spaces_last, online_minutes
    from report_steps(%(device_no)s, %(step)s, %(from_at)s, %(to_at)s)
    where operator_id = %(operator_id)s and bucket > %(after_at)s
    order by bucket
    limit %(limit)s
"""


class PostgresHistoryQueries:
    """Reads through the reading pool."""

    def __init__(self, pool: ReadingPool) -> None:
        self._pool = pool
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def page(self, question: HistoryQuestion) -> HistoryPage:
        """At most `limit` points from `after` on. Raises BadRange, BadCursor, StoreUnavailable."""
        refuse_absurd(question)
        width_ms = STEP_MS[question.step]
        from_ms = question.from_ms // width_ms * width_ms
        to_ms = -(-question.to_ms // width_ms) * width_ms
        after_ms, after_boot, after_seq = from_ms - 1, 0, 0
        if question.after is not None:
            after_ms, after_boot, after_seq = place_of(question, STEP_MS[question.step])
        arguments = {
            "device_no": question.device_no,
            "operator_id": question.operator_id,
            "step": question.step,
            "from_at": instant(max(from_ms, after_ms)),
            "to_at": instant(to_ms),
            "after_at": instant(after_ms),
            "after_boot": after_boot,
            "after_seq": after_seq,
            "limit": question.limit + 1,
        }
        rows = await self._rows(_RAW if question.step == "raw" else _STEPS, arguments)
        more = len(rows) > question.limit
        shown = rows[: question.limit]
        at, boot, seq = shown[-1][:3] if more else (None, 0, 0)
        next_after = None if at is None else cursor(question, unix_ms(at), boot, seq)
        if question.step == "raw":
            return HistoryPage([_raw(row) for row in shown], next_after)
        return HistoryPage([_step(row) for row in shown], next_after)

    async def _rows(self, sql: str, arguments: Arguments) -> list[tuple[Any, ...]]:
        try:
            async with asyncio.timeout(WAIT_S):
                await self._turns.acquire()
        except TimeoutError as error:
            raise StoreUnavailable("too much history is asked for at once") from error
        try:
            return await self._pool.rows(sql, arguments)
        finally:
            self._turns.release()


def refuse_absurd(question: HistoryQuestion) -> None:
    """Raises BadRange for what no server should answer."""
    if question.from_ms >= question.to_ms:
        raise BadRange("the range is empty: its end is not after its beginning")
    if question.to_ms - question.from_ms > WIDEST_MS[question.step]:
        days = WIDEST_MS[question.step] // _DAY_MS
        raise BadRange(f"a range of step {question.step} is at most {days} days wide")
    if not 1 <= question.limit <= MAX_POINTS:
        raise BadRange(f"a page has from 1 to {MAX_POINTS} points")


def _raw(row: Sequence[Any]) -> RawPoint:
    at, boot, seq, received_at, *rest = row
    return RawPoint(unix_ms(at), unix_ms(received_at), boot, seq, *rest)


def _step(row: Sequence[Any]) -> StepPoint:
    at, _, _, *rest = row
    return StepPoint(unix_ms(at), *rest)
