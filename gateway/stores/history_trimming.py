"""What keeps history bounded where no policy of the database does it: partitions ahead, old rows dropped."""

from datetime import timedelta

from msgspec import Struct
from psycopg import AsyncConnection

from gateway.stores.history_staging import AHEAD_WINDOW_MS, LATE_WINDOW_MS
from gateway.stores.instants import KEPT_SINCE, instant

RAW_RETENTION_DAYS = 90
QUARANTINE_RETENTION_DAYS = 30
"""Long enough for a person's holiday."""

MAX_QUARANTINE_ROWS = 100_000
"""At the frame limit 1.6 GB; the oldest go first."""

LOOK_AT_QUARANTINE_EVERY = 10_000
"""Frames put into it: a flood between two trims goes so far beyond the bound."""

QUARANTINE_ROWS_AT_ONCE = 20_000
"""Twice what came since the last look, so that it catches up; below a second."""

MAX_SIGHTINGS_OF_A_DEVICE = 50_000
"""A cabinet with 96 slots that empties five times a day, for 90 days."""

BOOT_RETENTION_DAYS = 100
"""Beyond the 90 days of raw history and the ring of a device that was away: its newest boot is kept for ever."""

_DROP_OLD_REPORTS = f"select latchkey_drop_old_reports({KEPT_SINCE})"
_DELETE_OLD_LATE = f"delete from history_late where received_at < {KEPT_SINCE}"
_DELETE_OLD_QUARANTINE = f"delete from quarantine where received_at < {KEPT_SINCE}"
_DELETE_QUARANTINE_BEYOND = """
    delete from quarantine where quarantine_no in (
        select quarantine_no from quarantine where quarantine_no <= (
            select quarantine_no from quarantine order by quarantine_no desc offset %(rows)s limit 1)
        order by quarantine_no limit %(at_once)s)
"""
_DELETE_OLD_BOOTS = f"""
    delete from device_boot using device
    where device.device_no = device_boot.device_no and device_boot.given_at < {KEPT_SINCE}
      and device_boot.boot < device.boot
"""

# Where a unit was seen last is never forgotten,
_DELETE_OLD_SIGHTINGS = f"""
    delete from unit_sighting old where old.at < {KEPT_SINCE} and exists (
        select from unit_sighting newer where newer.unit_id = old.unit_id and newer.sighting_no > old.sighting_no)
"""
# but by a device that draws ever new units.
_DELETE_SIGHTINGS_BEYOND = """
    delete from unit_sighting old using (
        select device_no, (
            select sighting_no from unit_sighting newer where newer.device_no = loud.device_no
            order by sighting_no desc offset %(rows)s limit 1) as last
        from (select device_no from unit_sighting group by device_no having count(*) > %(rows)s) loud
    ) bound where old.device_no = bound.device_no and old.sighting_no <= bound.last
"""


class Trimmed(Struct, frozen=True):
    """What a trim made and dropped."""

    partitions_made: int
    partitions_dropped: int
    late_rows: int
    quarantined: int
    sightings: int
    boots: int


async def trim(connection: AsyncConnection, now_ms: int) -> Trimmed:
    """Each step is its own transaction: none waits for another's locks. `now_ms` is Unix ms; nothing goes that is not
    old by the clock of the database too."""
    now = instant(now_ms)
    raw = {"now": now, "kept": timedelta(days=RAW_RETENTION_DAYS)}
    first = (now - timedelta(milliseconds=LATE_WINDOW_MS) - timedelta(days=1)).date()
    last = (now + timedelta(milliseconds=AHEAD_WINDOW_MS) + timedelta(days=2)).date()
    # Larger work than a batch: the statement timeout of batches is not for it.
    await connection.execute("set statement_timeout = '100s'")
    try:
        made = await _number(
            connection, "select latchkey_make_partitions(%(first)s, %(last)s)", first=first, last=last
        )
        dropped = await _number(connection, _DROP_OLD_REPORTS, **raw)
        late = await _deleted(connection, _DELETE_OLD_LATE, **raw)
        quarantined = await _deleted(
            connection, _DELETE_OLD_QUARANTINE, now=now, kept=timedelta(days=QUARANTINE_RETENTION_DAYS)
        )
        while gone := await bound_quarantine(connection):
            quarantined += gone
        sightings = await _deleted(connection, _DELETE_OLD_SIGHTINGS, **raw)
        sightings += await _deleted(connection, _DELETE_SIGHTINGS_BEYOND, rows=MAX_SIGHTINGS_OF_A_DEVICE)
        boots = await _deleted(
            connection, _DELETE_OLD_BOOTS, now=now, kept=timedelta(days=BOOT_RETENTION_DAYS)
        )
    finally:
        if not connection.closed:
            await connection.execute("reset statement_timeout")
    return Trimmed(made, dropped, late, quarantined, sightings, boots)


async def bound_quarantine(connection: AsyncConnection) -> int:
    """Drops the oldest beyond MAX_QUARANTINE_ROWS, a bounded number at once; returns how many."""
    return await _deleted(
        connection, _DELETE_QUARANTINE_BEYOND, rows=MAX_QUARANTINE_ROWS, at_once=QUARANTINE_ROWS_AT_ONCE
    )


async def _number(connection: AsyncConnection, sql: str, **arguments: object) -> int:
    row = await (await connection.execute(sql.encode(), arguments)).fetchone()
    return int(row[0]) if row else 0


async def _deleted(connection: AsyncConnection, sql: str, **arguments: object) -> int:
    return (await connection.execute(sql.encode(), arguments)).rowcount
