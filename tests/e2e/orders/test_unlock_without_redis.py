"""Bikes open and are known to have opened whatever Redis is at; when it is well again, live states are those of
history."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import pytest
import redis

from cli.stack import Stack
from gateway.stores.live_states import unpack_state
from tests.support.stored import ask
from tests.support.unlock_town import UnlockTown, unlock_town
from tests.support.waiting import until

BIKES = 4
"""Of each trouble."""

NEWEST = """
    select distinct on (device_no) device_id, report_all.boot, seq, frame from report_all join device using (device_no)
    order by device_no, report_all.boot desc, seq desc
"""


@contextmanager
def dead(stack: Stack) -> Iterator[None]:
    stack.redis.kill()
    try:
        yield
    finally:
        stack.redis.start()


@contextmanager
def frozen(stack: Stack) -> Iterator[None]:
    stack.redis.freeze()
    try:
        yield
    finally:
        stack.redis.thaw()


@contextmanager
def not_to_be_written(stack: Stack) -> Iterator[None]:
    """As with a full disk: it answers questions."""
    with redis.Redis.from_url(stack.redis.url()) as client:
        client.config_set("min-replicas-to-write", 1)
        try:
            yield
        finally:
            client.config_set("min-replicas-to-write", 0)


TROUBLES = (dead, frozen, not_to_be_written)


@pytest.fixture(scope="module")
def town(
    stack: Stack, shared_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UnlockTown]:
    """For all troubles, each with bikes of its own: nobody shuts them again."""
    bikes = [None] * BIKES * len(TROUBLES)
    with unlock_town(stack, shared_database, tmp_path_factory.mktemp("town"), bikes) as made:
        yield made


@pytest.mark.parametrize("trouble", TROUBLES)
def test_without_redis_every_unlock_is_confirmed_and_nothing_is_missing_afterwards(
    trouble: Callable[[Stack], AbstractContextManager[None]], stack: Stack, town: UnlockTown
) -> None:
    first = TROUBLES.index(trouble) * BIKES
    bikes = [town.device_id(number) for number in range(first, first + BIKES)]
    until(lambda: differences(town) == set(), what="whatever was before is over")
    # One that stops saves what it believes. The next has cached nothing, so not a single batch comes to its end.
    town.gateway.stop()
    town.gateway.start()
    with ThreadPoolExecutor(BIKES) as pool:
        with trouble(stack):
            commands = list(pool.map(town.issue, bikes))
            ends = list(pool.map(town.end_of, commands))
            assert [end["phase"] for end in ends] == ["confirmed"] * BIKES
        assert [len(town.executed(command)) for command in commands] == [1] * BIKES
        assert [town.incidents(command) for command in commands] == [[]] * BIKES
        row = "select 1 from report_all join device using (device_no) where device_id = %s and seq = %s"
        for command in commands:
            (evidence,) = [detail for what, detail in town.story(command) if what == "evidence"]
            named = (command["device_id"], evidence["seq"])
            # What waited for Redis is stored in its turn, some moment after Redis is back.
            until(partial(ask, town.dsn, row, named), what="the report that settled it is stored")
        until(lambda: differences(town) == set(), what="live states are those of history")


def differences(town: UnlockTown) -> set[str]:
    """Devices whose live state is not what history has as their newest report; all while there is none."""
    believed: dict[str, tuple[int, int, bytes]] = {}
    with redis.Redis.from_url(town.stack.redis.url()) as client:
        for shard in range(16):
            for name, value in client.hgetall(f"lk:{{{shard:02x}}}:live").items():
                state = unpack_state(value)
                believed[name.decode()] = state.boot, state.seq, state.frame
    stored = {name: (boot, seq, bytes(frame)) for name, boot, seq, frame in ask(town.dsn, NEWEST)}
    assert len(stored) == BIKES * len(TROUBLES)
    return {name for name in stored if believed.get(name) != stored[name]}
