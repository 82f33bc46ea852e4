"""Real servers for the tests that ask for them: one stack per worker, an empty database per test."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

import pytest
import redis
import uvloop
from hypothesis import settings

from cli.servers.account import reachable_root
from cli.servers.broker import PrivateBroker
from cli.servers.folder import sweep
from cli.servers.postgres_program import Wanted, find_postgres
from cli.settings import timescale_choice
from cli.stack import CHECKOUT, Stack
from cli.test import TEST_RUN, TEST_STACKS
from gateway.stores.migrate import migrate
from tests.support.kept_connection import KEPT
from tests.support.plain_logs import log_plainly
from tests.support.spare_databases import SpareDatabases
from tests.support.time_limit import end_in_time
from tests.support.told_to_end import end_in_order_when_told

END_TO_END = CHECKOUT / "tests" / "e2e"


# A busy machine is slow now and then: how long one example takes says nothing here.
settings.register_profile("full", deadline=None, print_blob=True)
settings.register_profile("few", settings.get_profile("full"), max_examples=15)
settings.load_profile("few" if os.environ.get("LATCHKEY_EXAMPLES") == "few" else "full")
log_plainly()
end_in_order_when_told()


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every async test runs on the loop that gateway and API run on: another tells of sockets in other ways."""
    return {"uvloop": uvloop.new_event_loop}


def wanted_timescale() -> Wanted:
    """LATCHKEY_TIMESCALE of the test run: auto, off or require."""
    return timescale_choice(os.environ.get("LATCHKEY_TIMESCALE", "auto"))


@pytest.fixture(scope="session")
def stack(worker_id: str) -> Iterator[Stack]:
    """Private mosquitto, Redis and PostgreSQL, started when the first test asks; those of the phase before, if any."""
    TEST_STACKS.mkdir(parents=True, exist_ok=True)
    run = os.environ.get(TEST_RUN)
    root = TEST_STACKS / f"{run or os.getpid()}-{worker_id}"
    sweep(reachable_root(root).parent)
    with Stack.started(root, timescale=wanted_timescale()) as started, closing(KEPT):
        yield started
    if run is None:
        shutil.rmtree(started.root, ignore_errors=True)


@pytest.fixture
def empty_database(stack: Stack) -> Iterator[str]:
    """The dsn of a database without anything in it."""
    dsn = stack.postgres.create_database()
    yield dsn
    stack.postgres.drop_database(dsn)


@pytest.fixture(scope="session")
def databases(stack: Stack) -> SpareDatabases:
    """Migrated ones."""
    named = stack.root / "template"
    if not named.exists():
        dsn = stack.postgres.create_database()
        migrate(dsn, "require" if stack.postgres.timescale else "off")
        named.write_text(stack.postgres.seal_as_template(dsn))
    template = named.read_text()
    stack.postgres.drop_databases(but=template)
    return SpareDatabases(stack.postgres, template)


@pytest.fixture
def database(stack: Stack, databases: SpareDatabases) -> Iterator[str]:
    """The dsn of a migrated database without anything in it; the broker has forgotten what earlier gateways left."""
    stack.broker.forget()
    dsn = databases.take()
    yield dsn
    databases.give_back(dsn)


@pytest.fixture(scope="module")
def shared_database(stack: Stack, databases: SpareDatabases) -> Iterator[str]:
    """The dsn of one for all tests of a file; broker and Redis are empty too."""
    stack.broker.forget()
    _empty_redis(stack)
    dsn = databases.take()
    yield dsn
    databases.give_back(dsn)


@pytest.fixture
def broker(stack: Stack) -> PrivateBroker:
    """The broker without sessions and queues of earlier tests."""
    stack.broker.forget()
    return stack.broker


@pytest.fixture
def redis_url(stack: Stack) -> str:
    """An empty Redis."""
    _empty_redis(stack)
    return stack.redis.url()


def _empty_redis(stack: Stack) -> None:
    with redis.Redis.from_url(stack.redis.url()) as client:
        client.flushall()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks all of tests/e2e `e2e`; skips `timescale` tests, with the reason, where the extension is absent; sets
    async tests their time limit."""
    end_in_time(items)
    for item in items:
        if item.path.is_relative_to(END_TO_END):
            item.add_marker(pytest.mark.e2e)
    needing = [item for item in items if item.get_closest_marker("timescale")]
    if needing and not find_postgres(wanted_timescale()).timescale:
        for item in needing:
            item.add_marker(pytest.mark.skip(reason="this PostgreSQL has no TimescaleDB"))
