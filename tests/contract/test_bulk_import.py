"""A chunk is imported whole or not at all."""

from collections.abc import Iterator

import psycopg
import pytest

from firmware_protocol.messages import DeviceId
from gateway.core.device import DeviceModel, Kind
from gateway.key_wrapping import KeyWrapping, new_key_encryption_key
from gateway.stores.bulk_import import AlreadyRegistered, Credentials, import_chunk
from gateway.stores.device_identity import By
from gateway.stores.registration import NewDevice, bulk_register

MODEL = DeviceModel("m", Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)
WRAPPING = KeyWrapping.parse(new_key_encryption_key("t"))
BY = By("console:test", "console")


def new(*names: str, model: str = "m", operator_id: int = 1) -> list[NewDevice]:
    return [NewDevice(DeviceId(name), model, operator_id) for name in names]


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        bulk_register(connection, [MODEL], [], operators={2: "two"})
        yield connection


def counts(connection: psycopg.Connection) -> tuple[int, ...]:
    tables = ("device", "device_credential", "device_key", "audit")
    found = [connection.execute(f"select count(*) from {name}".encode()).fetchone() for name in tables]
    return tuple(int(row[0]) for row in found if row is not None)


def test_a_chunk_makes_everything_a_device_needs(connection: psycopg.Connection) -> None:
    made = import_chunk(connection, [*new("a", "b"), *new("c", operator_id=2)], WRAPPING, BY)
    assert counts(connection) == (3, 3, 3, 2), "one line of the log per operator"
    assert len({one.password for one in made}) == 3
    assert len({one.key.secret for one in made if one.key}) == 3


def test_a_device_that_exists_stops_the_chunk_and_is_named(connection: psycopg.Connection) -> None:
    import_chunk(connection, new("b"), WRAPPING, BY)
    before = counts(connection)
    with pytest.raises(AlreadyRegistered) as known:
        import_chunk(connection, new("a", "b", "c"), WRAPPING, BY)
    assert known.value.device_ids == frozenset({"b"})
    assert counts(connection) == before


def test_who_keeps_the_credentials_may_still_stop_it(connection: psycopg.Connection) -> None:
    def keep(made: object) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        import_chunk(connection, new("a"), WRAPPING, BY, keep=keep)
    assert counts(connection) == (0, 0, 0, 0)


def test_an_unknown_model_imports_nothing(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        import_chunk(connection, new("a", model="unheard_of"), WRAPPING, BY)
    assert counts(connection) == (0, 0, 0, 0)


def test_credentials_show_nothing_secret() -> None:
    assert repr(Credentials(DeviceId("a"), "hush", None)) == "Credentials(a)"
