"""The broker's lists hold exactly who is in service, and are written once per change by one gateway."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from firmware_protocol.messages import DeviceId
from gateway.broker_export import BrokerLists
from gateway.broker_verifier import matches
from gateway.core.device import DeviceModel, Kind
from gateway.core.device_life import LifeStep
from gateway.key_wrapping import KeyWrapping, new_key_encryption_key
from gateway.ports import StoreUnavailable
from gateway.stores import broker_lists
from gateway.stores.broker_lists import PostgresBrokerLists
from gateway.stores.bulk_import import import_chunk
from gateway.stores.device_identity import By, PostgresDeviceIdentity
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.registration import NewDevice, bulk_register
from tests.support.unlock_line import becomes_true

MODEL = DeviceModel("list-bike", Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)
WRAPPING = KeyWrapping.parse(new_key_encryption_key("k"))
BY = By("console:test", "console")
Lists = tuple[dict[str, str], str, list[str]]


async def read(lists: BrokerLists) -> Lists:
    """All of them, in memory."""
    lines = b"".join([piece async for piece in lists.passwords]).decode().splitlines()
    entries = (line.partition(":") for line in lines)
    return {name: kept for name, _, kept in entries}, lists.revoked, list(lists.denied)


def enlist(dsn: str, *names: str) -> None:
    """Devices whose password is their name."""
    with psycopg.connect(dsn) as connection:
        bulk_register(connection, [MODEL], [])
        new = [NewDevice(DeviceId(name), MODEL.model) for name in names]
        import_chunk(connection, new, WRAPPING, BY, passwords=names)


@pytest.fixture
async def lists(database: str) -> AsyncIterator[PostgresBrokerLists]:
    store = PostgresBrokerLists(database)
    yield store
    await store.close()


@pytest.fixture
async def identity(database: str) -> AsyncIterator[PostgresDeviceIdentity]:
    link = PostgresLink(database, name="identity")
    yield PostgresDeviceIdentity(link, WRAPPING)
    await link.close()


async def test_a_change_is_written_once(database: str, lists: PostgresBrokerLists) -> None:
    enlist(database, "a", "b")
    first = await lists.export(read, force=False)
    assert first is not None
    assert set(first[0]) == {"a", "b"}
    assert matches("a", first[0]["a"])
    assert await lists.export(read, force=False) is None
    assert await lists.export(read, force=True) == first


async def test_a_suspended_device_is_not_on_it_until_it_is_resumed(
    database: str, lists: PostgresBrokerLists, identity: PostgresDeviceIdentity
) -> None:
    enlist(database, "a", "b")
    await lists.export(read, force=False)
    for step, there in ((LifeStep.SUSPEND, {"b"}), (LifeStep.RESUME, {"a", "b"}), (LifeStep.RETIRE, {"b"})):
        await identity.step("a", step, BY)
        now = await lists.export(read, force=False)
        assert now is not None
        assert set(now[0]) == there


async def test_what_could_not_be_written_is_written_again(database: str, lists: PostgresBrokerLists) -> None:
    enlist(database, "a")

    async def fail(_: BrokerLists) -> None:
        raise OSError("disk full")

    with pytest.raises((OSError, StoreUnavailable)):
        await lists.export(fail, force=False)
    again = await lists.export(read, force=False)
    assert again is not None
    assert set(again[0]) == {"a"}


async def test_only_one_gateway_writes_and_another_follows_it(
    database: str, lists: PostgresBrokerLists
) -> None:
    enlist(database, "a")
    other = PostgresBrokerLists(database)
    assert await lists.export(read, force=True) is not None
    assert await other.export(read, force=True) is None
    assert (lists.has_lock, other.has_lock) == (True, False)
    await lists.close()

    async def takes_over() -> bool:
        # The server lets go of the lock once it has seen that its holder is gone.
        return await other.export(read, force=True) is not None

    await becomes_true(takes_over, "the other gateway writes")
    await other.close()


async def test_who_had_a_certificate_and_has_none_that_stands_is_denied(
    database: str, lists: PostgresBrokerLists, identity: PostgresDeviceIdentity
) -> None:
    enlist(database, "stands", "revoked", "both", "suspended", "never")
    rows = (("stands", 0), ("revoked", 1), ("both", 0), ("both", 1), ("suspended", 0))
    with psycopg.connect(database) as connection:
        for number, (name, revoked) in enumerate(rows):
            connection.execute(
                "insert into device_certificate (serial, device_no, operator_id, not_before, not_after, revoked_at)"
                " select %s, device_no, 1, now(), now() + interval '1 day', case when %s = 1 then now() end"
                " from device where device_id = %s",
                [f"{number:x}", revoked, name],
            )
        connection.execute("insert into revocation_list (crl_no, pem) values (1, 'PEM')")
    await identity.step("suspended", LifeStep.SUSPEND, BY)
    now = await lists.export(read, force=False)
    assert now is not None
    assert now[1:] == ("PEM", ["revoked", "suspended"])


async def test_without_a_gateway_that_writes_the_files_changes_are_bounded_and_a_later_one_still_hears(
    database: str, lists: PostgresBrokerLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_lists, "MAX_CHANGES", 3)
    enlist(database, "a")
    with psycopg.connect(database) as connection:
        for _ in range(20):
            connection.execute("insert into broker_change default values")
    with psycopg.connect(database) as other:
        # One that is being taken out by another gateway is not waited for.
        other.execute("select from broker_change order by change_no limit 1 for update")
        await lists.trim()
        ((left,),) = other.execute("select count(*) from broker_change").fetchall()
        assert left == 4
    await lists.trim()
    assert await lists.trim() == 0
    found = await lists.export(read, force=False)
    assert found is not None
    assert set(found[0]) == {"a"}
