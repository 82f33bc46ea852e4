"""Fleets are registered in one go, or not at all."""

from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import psycopg
import pytest
from msgspec import structs

from firmware_protocol.errors import MalformedTopic
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import shard_of
from gateway.core.device import Crs, Status
from gateway.stores import registration
from gateway.stores.registration import ModelRefused, NewDevice, bulk_register
from tests.support.stored import BIKE, CABINET, ask


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database) as opened:
        yield opened


def fleet(count: int, **changes: Any) -> list[NewDevice]:
    return [NewDevice(DeviceId(f"bike-{n:06d}"), "bike-1", **changes) for n in range(count)]


def test_a_large_fleet_has_names_nobody_can_guess_and_markers_of_nine_digits(
    connection: psycopg.Connection, database: str
) -> None:
    assert bulk_register(connection, [BIKE], fleet(20_000)) == 20_000
    found = ask(database, "select device_id, public_id, marker, shard, status from device")
    assert len({public_id for _, public_id, *_ in found}) == len(found) == 20_000
    assert len({marker for _, _, marker, *_ in found}) == 20_000
    assert all(len(str(marker)) == 9 for _, _, marker, *_ in found)
    assert all(public_id.replace("-", "").replace("_", "").isalnum() for _, public_id, *_ in found)
    assert all(shard == shard_of(device_id) for device_id, _, _, shard, _ in found)
    assert {status for *_, status in found} == {Status.ACTIVE}


def test_a_second_time_changes_nothing(connection: psycopg.Connection, database: str) -> None:
    bulk_register(connection, [BIKE], fleet(10))
    before = ask(database, "select * from device order by device_no")
    assert bulk_register(connection, [BIKE], fleet(12)) == 2
    assert ask(database, "select * from device order by device_no")[:10] == before


def test_a_model_that_exists_is_brought_up_to_date(connection: psycopg.Connection, database: str) -> None:
    bulk_register(connection, [BIKE, CABINET], [])
    bulk_register(connection, [structs.replace(BIKE, heartbeat_s=60, quiet_after_s=150)], [])
    assert ask(database, "select model, heartbeat_s from device_model order by 1") == [
        ("bike-1", 60),
        ("cabinet-6", 60),
    ]


def test_operators_have_their_own_devices(connection: psycopg.Connection, database: str) -> None:
    bulk_register(connection, [BIKE], fleet(3, operator_id=7), operators={7: "Seven"})
    assert ask(database, "select distinct operator_id from device") == [(7,)]
    assert ask(database, "select name from operator order by operator_id") == [("default",), ("Seven",)]


@pytest.mark.parametrize("name", ["lk-gw-07", "a/b", "a+b", "#", "", "x" * 33, "été", "a b", "a\x00"])
def test_a_name_that_no_topic_can_carry_is_refused(
    connection: psycopg.Connection, database: str, name: str
) -> None:
    with pytest.raises(MalformedTopic):
        bulk_register(connection, [BIKE], [*fleet(3), NewDevice(DeviceId(name), "bike-1")])
    assert ask(database, "select count(*) from device") == [(0,)]


@pytest.mark.parametrize("crs", [Crs.GCJ02, Crs.BD09])
def test_a_model_of_another_coordinate_system_is_refused(
    connection: psycopg.Connection, database: str, crs: Crs
) -> None:
    with pytest.raises(ModelRefused, match=f"'bike-1' reports positions in {crs.name}; only WGS84"):
        bulk_register(connection, [structs.replace(BIKE, crs=crs)], fleet(3))
    assert ask(database, "select count(*) from device_model") == [(0,)]


def test_a_device_of_no_known_model_is_refused(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        bulk_register(connection, [CABINET], fleet(1))


def test_markers_that_are_taken_are_drawn_again(
    connection: psycopg.Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = chain(repeat(123_456_789, 10), range(200_000_000, 300_000_000))
    monkeypatch.setattr(registration, "draw_marker", lambda: next(taken))
    bulk_register(connection, [BIKE], fleet(5))
    bulk_register(connection, [BIKE], fleet(10))
    markers = [marker for (marker,) in ask(database, "select marker from device")]
    assert len(set(markers)) == 10
