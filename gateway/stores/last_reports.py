"""The way back to live states when Redis was lost: the saved state of each device and every report since."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import msgpack
from psycopg import AsyncConnection

from firmware_protocol.codec import decode_report
from gateway.core.advance import fold
from gateway.core.device import DeviceModel, DeviceRecord
from gateway.core.live_state import LiveState
from gateway.core.slots import count_slots
from gateway.core.stamped import StampedReport
from gateway.ports import StoreUnavailable
from gateway.stores.device_rows import DEVICE_COLUMNS, device_record
from gateway.stores.history_staging import LATE_WINDOW_MS
from gateway.stores.history_trimming import RAW_RETENTION_DAYS
from gateway.stores.instants import unix_ms
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.statements import statement

MAX_ROWS_PER_DEVICE = 256
"""A state is saved once a minute while the device reports: at one report a second four times over. What the newest
of these say is whole; only how long a reason has stood may come out younger."""

MARGIN_S = 900
"""What the saved state does not know of was received after it was taken, by clocks that may disagree, or waited in a
backlog of minutes when a drain took it."""

ROWS_AT_ONCE = 1_000
"""Before the loop is left to others, who renew leases and acknowledge reports."""

DEADLINE_S = 60.0
"""A shard of a million devices' fleet."""

_DEVICES = f"""
    select {DEVICE_COLUMNS}, state
    from device left join last_report using (device_no) where shard = %s order by device_no
""".replace("operator_id", "device.operator_id").encode()
_NEWER = statement("newer_rows")
_decode_state = msgpack.Decoder(LiveState).decode


class PostgresLastReports:
    """ports.LastReports on one connection of its own."""

    def __init__(self, dsn: str, model: Callable[[str], DeviceModel]) -> None:
        self._link = PostgresLink(dsn, name="rebuild")
        self._model = model

    async def of_shard(self, shard: int) -> Sequence[tuple[DeviceRecord, LiveState]]:
        """The newest known state of every device of the shard: last_report plus newer history.
        Devices that never reported are missing. Raises StoreUnavailable."""
        devices, newer = await self._link.run(
            lambda connection: _read(connection, shard), deadline_s=DEADLINE_S
        )
        by_device: dict[int, list[Sequence[Any]]] = defaultdict(list)
        for row in newer:
            by_device[row[0]].append(row)
        states = []
        worked = 0
        for row in devices:
            if worked >= ROWS_AT_ONCE:
                worked = 0
                await asyncio.sleep(0)
            device = device_record(row)
            base = None if row[-1] is None else _decode_state(row[-1])
            rows = by_device.get(device.device_no, ())
            worked += 1 + len(rows)
            if base is None and not rows:
                continue
            model = self._known_model(device)
            state = fold(base, device, model, [stamped(row, model) for row in rows])
            if state is not None:
                states.append((device, state))
        return states

    def _known_model(self, device: DeviceRecord) -> DeviceModel:
        try:
            return self._model(device.model)
        except KeyError:
            # Registered a moment ago, and its device was heard by another gateway: it is known within seconds.
            raise StoreUnavailable(f"rebuild: the model {device.model} is not known yet") from None

    async def close(self) -> None:
        await self._link.close()


def stamped(row: Sequence[Any], model: DeviceModel) -> StampedReport:
    """A row of history as it was when it was applied. Columns as in newer_rows.sql."""
    frame = bytes(row[17])
    report = decode_report(frame)
    counts = count_slots(model, report.slots)
    return StampedReport(
        report, row[2], row[3], unix_ms(row[4]), row[6], unix_ms(row[5]), counts.units, counts.spaces, frame
    )


async def _read(
    connection: AsyncConnection, shard: int
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """One moment of both tables: a state saved in between would hide reports."""
    arguments = {
        "shard": shard,
        "raw_s": RAW_RETENTION_DAYS * 86_400,
        "late_s": LATE_WINDOW_MS / 1000,
        "margin_s": MARGIN_S,
        "rows": MAX_ROWS_PER_DEVICE,
    }
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute("begin isolation level repeatable read read only")
        try:
            # Longer than a batch may take: the whole shard.
            await cursor.execute("set local statement_timeout = '55s'")
            devices = await (await cursor.execute(_DEVICES, (shard,))).fetchall()
            newer = await (await cursor.execute(_NEWER, arguments, prepare=False)).fetchall()
        finally:
            if not connection.closed:
                await connection.rollback()
    return devices, newer
