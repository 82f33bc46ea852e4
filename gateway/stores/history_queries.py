"""Stored reports as people ask for them: raw or by the minute, hour or day, page by page."""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from gateway.reading import BadCursor, BadRange, HistoryPage, HistoryQuestion, RawPoint, Step, StepPoint
from gateway.stores.instants import instant, unix_ms
from gateway.stores.reading_pool import ReadingPool

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

_RAW = """
    select at, boot, seq, received_at, clock_suspect, kept, lat_e7, lon_e7, accuracy_m,
           battery_pct, bolt, moving, units, spaces, signal_dbm
    from report_all
    where device_no = %(device_no)s and at >= %(from_at)s and at < %(to_at)s
      and (at, boot, seq) > (%(after_at)s, %(after_boot)s, %(after_seq)s)
    order by at, boot, seq
    limit %(limit)s
"""
_STEPS = """
    select bucket, operator_id::bigint, 0::bigint, reports, lat_e7, lon_e7, battery_min_pct, battery_max_pct,
           units_min, units_max, spaces_min, spaces_max, battery_last_pct, units_last, spaces_last, online_minutes
    from report_steps(%(device_no)s, %(step)s, %(from_at)s, %(to_at)s)
    where (bucket, operator_id::bigint) > (%(after_at)s, %(after_boot)s)
    order by bucket, operator_id
    limit %(limit)s
"""
_CURSOR = struct.Struct("!Iqqq")


class PostgresHistoryQueries:
    """Reads through the reading pool."""

    def __init__(self, pool: ReadingPool) -> None:
        self._pool = pool

    async def page(self, question: HistoryQuestion) -> HistoryPage:
        """At most `limit` points from `after` on. Raises BadRange, BadCursor, StoreUnavailable."""
        refuse_absurd(question)
        width_ms = STEP_MS[question.step]
        from_ms = question.from_ms // width_ms * width_ms
        to_ms = -(-question.to_ms // width_ms) * width_ms
        after_ms, after_boot, after_seq = from_ms - 1, 0, 0
        if question.after is not None:
            after_ms, after_boot, after_seq = _place(question)
        arguments = {
            "device_no": question.device_no,
            "step": question.step,
            "from_at": instant(max(from_ms, after_ms)),
            "to_at": instant(to_ms),
            "after_at": instant(after_ms),
            "after_boot": after_boot,
            "after_seq": after_seq,
            "limit": question.limit + 1,
        }
        rows = await self._pool.rows(_RAW if question.step == "raw" else _STEPS, arguments)
        more = len(rows) > question.limit
        shown = rows[: question.limit]
        next_after = _cursor(question, shown[-1]) if more else None
        if question.step == "raw":
            return HistoryPage([_raw(row) for row in shown], next_after)
        return HistoryPage([_step(row) for row in shown], next_after)


def refuse_absurd(question: HistoryQuestion) -> None:
    """Raises BadRange for what no server should answer."""
    if question.from_ms >= question.to_ms:
        raise BadRange("the range is empty: its end is not after its beginning")
    if question.to_ms - question.from_ms > WIDEST_MS[question.step]:
        days = WIDEST_MS[question.step] // _DAY_MS
        raise BadRange(f"a range of step {question.step} is at most {days} days wide")
    if not 1 <= question.limit <= MAX_POINTS:
        raise BadRange(f"a page has from 1 to {MAX_POINTS} points")


def _cursor(question: HistoryQuestion, row: Sequence[Any]) -> str:
    packed = _CURSOR.pack(_fingerprint(question), unix_ms(row[0]), row[1], row[2])
    return urlsafe_b64encode(packed).decode().rstrip("=")


def _place(question: HistoryQuestion) -> tuple[int, int, int]:
    """Where the page before ended."""
    given = question.after or ""
    try:
        packed = urlsafe_b64decode(given + "=" * (-len(given) % 4))
        fingerprint, at_ms, boot, seq = _CURSOR.unpack(packed)
    except (ValueError, struct.error) as error:
        raise BadCursor from error
    in_range = question.from_ms - STEP_MS[question.step] <= at_ms < question.to_ms
    if fingerprint != _fingerprint(question) or not in_range:
        raise BadCursor
    return at_ms, boot, seq


def _fingerprint(question: HistoryQuestion) -> int:
    """Of what must stay the same from page to page; how long a page is may change."""
    same = f"{question.device_no} {question.step} {question.from_ms} {question.to_ms}"
    return crc32(same.encode())


def _raw(row: Sequence[Any]) -> RawPoint:
    at, boot, seq, received_at, *rest = row
    return RawPoint(unix_ms(at), unix_ms(received_at), boot, seq, *rest)


def _step(row: Sequence[Any]) -> StepPoint:
    at, _, _, *rest = row
    return StepPoint(unix_ms(at), *rest)
