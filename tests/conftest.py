"""Real servers for the tests that ask for them: one stack per worker, a fresh database per test."""

import os
import shutil
from collections.abc import Iterator

import pytest
import redis

from cli.servers.account import reachable_root
from cli.servers.broker import PrivateBroker
from cli.servers.folder import sweep
from cli.servers.postgres_program import Wanted
from cli.stack import STATE_FOLDER, Stack

TEST_STACKS = STATE_FOLDER / "tests"


def wanted_timescale() -> Wanted:
    """LATCHKEY_TIMESCALE of the test run: auto, off or require."""
    named = os.environ.get("LATCHKEY_TIMESCALE", "auto")
    assert named in ("auto", "off", "require")
    return named  # type: ignore[return-value]  # mypy does not narrow str by membership


@pytest.fixture(scope="session")
def stack(worker_id: str) -> Iterator[Stack]:
    """Private mosquitto, Redis and PostgreSQL, started when the first test asks."""
    TEST_STACKS.mkdir(parents=True, exist_ok=True)
    root = TEST_STACKS / f"{worker_id}-{os.getpid()}"
    sweep(reachable_root(root).parent)
    with Stack.started(root, timescale=wanted_timescale()) as started:
        yield started
    shutil.rmtree(started.root, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_template(stack: Stack) -> str:
    """A database with every migration applied, closed for connections: copies of it are cheap."""
    from gateway.stores.migrate import migrate

    dsn = stack.postgres.create_database()
    migrate(dsn, "require" if stack.postgres.timescale else "off")
    return stack.postgres.seal_as_template(dsn)


@pytest.fixture
def empty_database(stack: Stack) -> Iterator[str]:
    """The dsn of a database without anything in it."""
    dsn = stack.postgres.create_database()
    yield dsn
    stack.postgres.drop_database(dsn)


@pytest.fixture
def database(stack: Stack, migrated_template: str) -> Iterator[str]:
    """The dsn of a fresh, migrated database; the broker has forgotten what earlier gateways left in it."""
    stack.broker.forget()
    dsn = stack.postgres.create_database(template=migrated_template)
    yield dsn
    stack.postgres.drop_database(dsn)


@pytest.fixture
def broker(stack: Stack) -> PrivateBroker:
    """The broker without sessions and queues of earlier tests."""
    stack.broker.forget()
    return stack.broker


@pytest.fixture
def redis_url(stack: Stack) -> str:
    """An empty Redis."""
    with redis.Redis.from_url(stack.redis.url()) as client:
        client.flushall()
    return stack.redis.url()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`timescale` tests are skipped, with the reason, where the extension is absent."""
    needing = [item for item in items if item.get_closest_marker("timescale")]
    if not needing:
        return
    from cli.servers.postgres_program import find_postgres

    if not find_postgres(wanted_timescale()).timescale:
        for item in needing:
            item.add_marker(pytest.mark.skip(reason="this PostgreSQL has no TimescaleDB"))
