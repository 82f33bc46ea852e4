"""A lane has changed hands while its owner before was stopped in the midst of storing."""

import asyncio
import time
from collections.abc import AsyncIterator

import psycopg
import pytest
from msgspec import structs

from gateway.mqtt import shards
from gateway.ports import Appended, HistoryBatch, QuarantinedFrame, StoreUnavailable
from gateway.stores import history as module
from gateway.stores import leases
from gateway.stores.history import PostgresHistory
from gateway.stores.history_staging import BASIC_LOCK
from gateway.stores.postgres_link import LOCK_TIMEOUT_S
from tests.support.stored import a_row, ask, doubtful, fresh
from tests.support.waiting import until_async

NOW_MS = time.time_ns() // 1_000_000
OF_A = a_row(5, boot=0, at_ms=NOW_MS - 11_000, received_ms=NOW_MS - 11_000)
OF_B = structs.replace(OF_A, at_ms=NOW_MS, received_ms=NOW_MS)
"""The same frame of a basic device that says no time: filed under its arrival, and B had it later."""
ASIDE = QuarantinedFrame("bike-1", "a/b", "malformed", "", NOW_MS, b"?")
STORED = "select count(*) from report where boot = 0 and seq = 5"


def test_whoever_is_stopped_is_put_out_before_the_lane_is_anothers_and_before_who_waits_gives_up() -> None:
    # Of the lease at least this is left when somebody is stopped.
    assert module.STOPPED_AFTER_S < leases.LEASE_S - shards.RENEW_EVERY_S
    assert leases.LEASE_S == shards.LEASE_S
    assert module.STOPPED_AFTER_S < LOCK_TIMEOUT_S


class Stopped:
    """What A meets between its last statement and its COMMIT, once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.there, self.go = asyncio.Event(), asyncio.Event()
        self._commit = module._commit
        monkeypatch.setattr(module, "_commit", self.commit)

    async def commit(self, *given: object) -> Appended:
        if not self.there.is_set():
            self.there.set()
            await self.go.wait()
        return await self._commit(*given)  # type: ignore[arg-type]  # handed on as it came


@pytest.fixture
async def owners(database: str) -> AsyncIterator[tuple[PostgresHistory, PostgresHistory]]:
    a, b = PostgresHistory(database), PostgresHistory(database)
    await a.open(NOW_MS)
    yield a, b
    await a.close()
    await b.close()


def backends(dsn: str, state: str) -> int:
    """How many connections of history are so."""
    of_history = "datname = current_database() and application_name = 'latchkey-history'"
    return int(ask(dsn, f"select count(*) from pg_stat_activity where {of_history} and {state}")[0][0])


@pytest.mark.parametrize("unpackable", [False, True], ids=["together", "each for itself"])
async def test_two_owners_that_look_at_once_store_a_basic_device_once(
    database: str,
    owners: tuple[PostgresHistory, PostgresHistory],
    monkeypatch: pytest.MonkeyPatch,
    unpackable: bool,
) -> None:
    a, b = owners
    stopped = Stopped(monkeypatch)
    refused = [a_row(9, battery_pct=40_000)] * unpackable
    first = asyncio.create_task(a.append(doubtful(OF_A, *refused)))
    await stopped.there.wait()
    second = asyncio.create_task(b.append(doubtful(OF_B, *refused)))
    await until_async(lambda: second.done() or backends(database, "wait_event_type = 'Lock'"))
    stopped.go.set()
    assert (await first).doubled == 0
    assert (await second).doubled == 1
    assert ask(database, STORED) == [(1,)]


async def test_an_owner_that_is_stopped_before_its_commit_has_stored_nothing_once_its_lane_is_anothers(
    database: str, owners: tuple[PostgresHistory, PostgresHistory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOPPED_AFTER_S", 0.2)
    a, b = owners
    await a.close()
    stopped = Stopped(monkeypatch)
    # By COPY, which takes no lock that B could wait for; with a frame put aside it is no transaction of its own.
    first = asyncio.create_task(a.append(HistoryBatch([OF_A], [], [ASIDE])))
    await stopped.there.wait()
    await until_async(lambda: not backends(database, "xact_start is not null"), deadline_s=5)
    assert (await b.append(doubtful(OF_B))).doubled == 0
    stopped.go.set()
    with pytest.raises(StoreUnavailable):
        await first
    # What it was not sure of it gives again, to be looked at.
    assert (await a.append(doubtful(OF_A))).doubled == 1
    assert ask(database, STORED) == [(1,)]


async def test_new_rows_of_basic_devices_wait_for_nobody(
    database: str, owners: tuple[PostgresHistory, PostgresHistory]
) -> None:
    a, b = owners
    await a.append(doubtful(OF_A))
    with psycopg.connect(database) as other:
        other.execute(
            "select pg_advisory_xact_lock(%s, bucket) from generate_series(0, 63) as bucket", (BASIC_LOCK,)
        )
        await b.append(fresh(a_row(6, boot=0, at_ms=NOW_MS, received_ms=NOW_MS)))
        await b.append(doubtful(a_row(7, at_ms=NOW_MS, received_ms=NOW_MS)))
