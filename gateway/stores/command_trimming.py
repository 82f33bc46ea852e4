"""What keeps the tables of commands bounded: settled ones go after a year and a month, keys after two days."""

from datetime import timedelta

from psycopg import AsyncConnection

from gateway.stores.instants import KEPT_SINCE, instant

COMMAND_RETENTION_DAYS = 400
"""A year and the month in which it is looked back at; the timeline refuses to forget anything younger."""

KEY_RETENTION_DAYS = 2
"""Longer than any client repeats a request; what it stood for is found by its id."""

ROWS_AT_ONCE = 20_000
"""A transaction of a second; the next trim goes on."""

_DELETE_COMMANDS = f"""
    delete from command where command_id in (
        select command_id from command
        where settled_at < {KEPT_SINCE} and not exists (
            -- A device may have had something to say long after.
            select from command_event told where told.command_id = command.command_id and told.at >= {KEPT_SINCE})
        order by settled_at limit %(rows)s)
""".encode()
_DELETE_KEYS = f"""
    delete from command_key where (principal, key) in (
        select principal, key from command_key where made_at < {KEPT_SINCE} order by made_at limit %(rows)s)
""".encode()
_DELETE_INCIDENTS = f"""
    delete from incident where incident_no in (
        select incident_no from incident where at < {KEPT_SINCE} order by at limit %(rows)s)
""".encode()


async def trim_commands(connection: AsyncConnection, now_ms: int) -> int:
    """How many commands went; each step is its own transaction. `now_ms` is Unix ms; nothing goes that is not
    old by the clock of the database too."""
    now = instant(now_ms)
    # A day more than the timeline insists on, by the database's own clock.
    old = {"now": now, "kept": timedelta(days=COMMAND_RETENTION_DAYS + 1), "rows": ROWS_AT_ONCE}
    await connection.execute(_DELETE_KEYS, old | {"kept": timedelta(days=KEY_RETENTION_DAYS)})
    await connection.execute(_DELETE_INCIDENTS, old)
    return (await connection.execute(_DELETE_COMMANDS, old)).rowcount
