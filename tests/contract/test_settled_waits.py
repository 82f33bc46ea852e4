"""Whoever waits for a command is woken, and nobody else."""

import asyncio
from collections.abc import Collection
from uuid import UUID, uuid4

from gateway.ports import StoreUnavailable
from gateway.stores import settled_waits
from gateway.stores.settled_waits import SettledWaits


async def test_a_notice_wakes_all_who_wait_for_its_command() -> None:
    waits, one, other = SettledWaits(), uuid4(), uuid4()
    with waits.waiting(one) as first, waits.waiting(one) as second, waits.waiting(other) as third:
        waits.wake(str(one))
        assert (first.is_set(), second.is_set(), third.is_set()) == (True, True, False)
        waits.wake("nonsense")
        waits.wake(str(uuid4()))
        waits.wake_all()
        assert third.is_set()
    assert waits._waiting == {}


async def test_a_poll_asks_once_for_all_and_survives_a_store_that_is_away(monkeypatch: object) -> None:
    settled_waits.POLL_EVERY_S, before = 0.001, settled_waits.POLL_EVERY_S
    asked: list[set[UUID]] = []
    one, other = uuid4(), uuid4()

    async def done(command_ids: Collection[UUID]) -> Collection[UUID]:
        asked.append(set(command_ids))
        if len(asked) == 1:
            raise StoreUnavailable("away")
        return [other]

    waits = SettledWaits()
    with waits.waiting(one) as first, waits.waiting(other) as second:
        polling = asyncio.create_task(waits.poll(done))
        await second.wait()
        assert not first.is_set()
    polling.cancel()
    assert asked[:2] == [{one, other}, {one, other}]
    settled_waits.POLL_EVERY_S = before
