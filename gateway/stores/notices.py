"""PostgreSQL's notices, heard on a connection of its own that opens itself again."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import psycopg
from psycopg import sql

from gateway.backoff import Chance, next_delay_s
from gateway.stores.postgres_link import connection_settings, deadline
from gateway.stores.quick_connection import QuickConnection

SETTLED_CHANNEL = "lk_settled"
"""With the id of a command that is settled or UNCONFIRMED now."""

DEVICES_CHANNEL = "lk_devices"
"""Devices or what belongs to them have changed."""

LOOK_EVERY_S = 5.0
ANSWER_WITHIN_S = 5.0
"""A server that froze or is out of reach is found out within the two together."""

FIRST_DELAY_S = 0.1
CAP_DELAY_S = 1.0
"""Meanwhile the polls of whoever listens find the same, later."""


def command_channel(lane: int) -> str:
    """Somebody issued a command for a device of this lane."""
    return f"lk_cmd_{lane:02x}"


class Notices:
    """Calls whoever listens, with the payload. A notice may be lost with the connection, so `listening` is called
    each time that listening begins: who looks then misses nothing."""

    def __init__(
        self,
        dsn: str,
        listeners: Mapping[str, Callable[[str], None]],
        *,
        chance: Chance,
        name: str = "notices",
        listening: Callable[[], None] = lambda: None,
    ) -> None:
        """`listeners` by channel; they are called from the event loop and must not block."""
        self.live = False
        """Whether notices are heard now."""
        self._dsn = dsn
        self._listeners = dict(listeners)
        self._chance = chance
        self._name = name
        self._listening = listening

    async def run(self) -> None:
        """For ever; ends only by cancellation."""
        attempt = 0
        while True:
            with suppress(psycopg.Error, OSError):
                connection = await QuickConnection.connect(
                    autocommit=True,
                    **connection_settings(self._dsn, self._name),  # type: ignore[arg-type]  # libpq's own
                )
                attempt = 0
                try:
                    await self._hear(connection)
                finally:
                    self.live = False
                    await connection.close()
            await asyncio.sleep(next_delay_s(attempt, self._chance, first_s=FIRST_DELAY_S, cap_s=CAP_DELAY_S))
            attempt += 1

    async def _hear(self, connection: QuickConnection) -> None:
        """Until the connection is lost, which may raise."""
        connection.add_notify_handler(lambda notice: self._listeners[notice.channel](notice.payload))
        with deadline(connection, ANSWER_WITHIN_S):
            for channel in self._listeners:
                await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
        connection.hear()
        self.live = True
        self._listening()
        while not connection.lost.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await connection.lost.wait()
                    break
            with deadline(connection, ANSWER_WITHIN_S):
                await connection.execute("select 1")
            connection.hear()
        if connection.failure is not None:
            raise connection.failure
