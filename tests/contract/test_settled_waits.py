"""Whoever waits for a command is woken, and nobody else."""

import asyncio
from collections.abc import Collection
from uuid import UUID, uuid4

import msgspec

from firmware_protocol.commands import CommandKind
from firmware_protocol.messages import DeviceId
from gateway.command_ports import CommandRecord
from gateway.core.command import Phase
from gateway.ports import StoreUnavailable
from gateway.stores import settled_waits
from gateway.stores.settled_waits import SettledWaits


def confirmed() -> CommandRecord:
    """A command as a notice tells it."""
    return CommandRecord(
        uuid4(),
        1,
        7,
        DeviceId("bike-7"),
        "bike",
        "",
        CommandKind.UNLOCK,
        0,
        {},
        9,
        3,
        1,
        2,
        Phase.CONFIRMED,
        4,
    )


async def test_a_notice_wakes_all_who_wait_for_its_command() -> None:
    waits, one, other = SettledWaits(), uuid4(), uuid4()
    with waits.waiting(one) as first, waits.waiting(one) as second, waits.waiting(other) as third:
        waits.wake(str(one))
        assert (first.woken.is_set(), second.woken.is_set(), third.woken.is_set()) == (True, True, False)
        waits.wake("nonsense")
        waits.wake(str(uuid4()))
        waits.wake_all()
        assert third.woken.is_set()
    assert waits._waiting == {}


async def test_a_notice_tells_the_command_also_to_who_begins_to_wait_after_it() -> None:
    waits, command = SettledWaits(), confirmed()
    payload = msgspec.json.encode(command).decode()
    with waits.waiting(command.command_id) as one:
        waits.wake(payload)
        assert one.heard == command
    waits.wake(payload)
    with waits.waiting(command.command_id) as one:
        assert (one.woken.is_set(), one.heard) == (True, command)
        waits.wake_all()
        assert one.heard is None
    with waits.waiting(command.command_id) as one:
        assert not one.woken.is_set()


async def test_ends_that_nobody_waits_for_are_forgotten() -> None:
    waits = SettledWaits()
    for _ in range(settled_waits.MAX_HEARD + 10):
        waits.wake(msgspec.json.encode(confirmed()).decode())
    assert len(waits._heard) == settled_waits.MAX_HEARD


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
        await second.woken.wait()
        assert not first.woken.is_set()
    polling.cancel()
    assert asked[:2] == [{one, other}, {one, other}]
    settled_waits.POLL_EVERY_S = before
