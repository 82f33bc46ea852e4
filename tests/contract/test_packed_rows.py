"""Packed rows arrive in PostgreSQL as they were."""

import struct
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.ports import HistoryRow
from gateway.stores.instants import unix_ms
from gateway.stores.packed_rows import COLUMNS, pack_rows
from tests.support.stored import NOW_MS, a_row

SMALL = st.none() | st.integers(0, 96)


@st.composite
def rows(draw: st.DrawFn) -> HistoryRow:
    fix = draw(
        st.none()
        | st.tuples(st.integers(-900_000_000, 900_000_000), st.integers(-1_800_000_000, 1_800_000_000))
    )
    lat, lon = fix or (None, None)
    return HistoryRow(
        device_no=draw(st.integers(1, 2**31 - 1)),
        boot=draw(st.integers(0, 2**63 - 1)),
        seq=draw(st.integers(0, 2**63 - 1)),
        at_ms=NOW_MS + draw(st.integers(-(10**6), 10**6)),
        received_ms=NOW_MS,
        clock_suspect=draw(st.booleans()),
        kept=draw(st.booleans()),
        lat_e7=lat,
        lon_e7=lon,
        accuracy_m=None if fix is None else draw(st.floats(0, 100_000, width=32)),
        battery_pct=draw(st.none() | st.integers(0, 100)),
        bolt=draw(st.none() | st.integers(0, 2)),
        moving=draw(st.none() | st.booleans()),
        units=draw(SMALL),
        spaces=draw(SMALL),
        signal_dbm=draw(st.none() | st.integers(-150, 0)),
        frame=draw(st.binary(max_size=200)),
        operator_id=draw(st.integers(0, 9)),
    )


@dataclass(frozen=True)
class Table:
    connection: psycopg.Connection

    def through(self, rows: list[HistoryRow]) -> list[HistoryRow]:
        """What a table of the same columns holds after a COPY of these rows."""
        self.connection.execute("create temp table packed (like report)")
        with self.connection.cursor(binary=True) as cursor:
            with cursor.copy(f"copy packed ({COLUMNS}) from stdin (format binary)".encode()) as copy:
                copy.write(pack_rows(rows))
            stored = cursor.execute(f"select {COLUMNS} from packed".encode()).fetchall()
        self.connection.rollback()
        return [_row(one) for one in stored]


@given(st.lists(rows(), max_size=8))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_packed_is_what_is_stored(database: str, batch: list[HistoryRow]) -> None:
    with psycopg.connect(database) as connection:
        assert Table(connection).through(batch) == batch


def test_a_position_without_accuracy_is_stored(database: str) -> None:
    row = a_row(1, accuracy_m=None)
    with psycopg.connect(database) as connection:
        assert Table(connection).through([row]) == [row]


@pytest.mark.parametrize("change", [{"device_no": 2**31}, {"battery_pct": 2**15}, {"seq": 2**63}])
def test_a_value_too_large_for_its_column_is_not_packed(change: dict[str, Any]) -> None:
    with pytest.raises(struct.error):
        pack_rows([structs.replace(a_row(1), **change)])


def _row(one: tuple[Any, ...]) -> HistoryRow:
    device_no, operator_id, boot, seq, at, received_at, *rest, frame = one
    values = (device_no, boot, seq, unix_ms(at), unix_ms(received_at), *rest, bytes(frame), operator_id)
    return HistoryRow(*values)
