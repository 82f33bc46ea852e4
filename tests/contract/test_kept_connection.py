"""The connection that tests ask on: kept from question to question, and never one that fails the next."""

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from tests.support.kept_connection import KeptConnection

BACKEND = "select pg_backend_pid()"


@pytest.fixture
def kept() -> Iterator[KeptConnection]:
    connection = KeptConnection()
    yield connection
    connection.close()


def backend(kept: KeptConnection, dsn: str) -> int:
    with kept.to(dsn) as connection:
        found = connection.execute(BACKEND).fetchone()
    assert found is not None
    return int(found[0])


def test_questions_to_one_database_share_it(kept: KeptConnection, database: str) -> None:
    assert backend(kept, database) == backend(kept, database)


def test_another_database_has_another(kept: KeptConnection, database: str, empty_database: str) -> None:
    first = backend(kept, database)
    assert backend(kept, empty_database) != first
    with kept.to(empty_database) as connection:
        assert connection.info.dbname in empty_database


def test_one_that_the_server_ended_is_not_asked(kept: KeptConnection, database: str) -> None:
    first = backend(kept, database)
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s, 10000)", (first,))
    assert backend(kept, database) != first


def test_one_that_failed_is_not_asked_again(kept: KeptConnection, database: str) -> None:
    first = backend(kept, database)
    with pytest.raises(psycopg.errors.DivisionByZero), kept.to(database) as connection:
        connection.execute("select 1 / 0")
    assert backend(kept, database) != first


def test_one_on_which_a_question_was_broken_off_is_not_asked_again(
    kept: KeptConnection, database: str
) -> None:
    def broken_off() -> None:
        with kept.to(database) as connection:
            connection.pgconn.send_query(b"select pg_sleep(60)")
            raise KeyboardInterrupt

    first = backend(kept, database)
    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert backend(kept, database) != first


def test_who_asks_meanwhile_or_in_another_thread_has_one_of_its_own(
    kept: KeptConnection, database: str
) -> None:
    found = [backend(kept, database)]
    with kept.to(database):
        found.append(backend(kept, database))
    thread = threading.Thread(target=lambda: found.append(backend(kept, database)))
    thread.start()
    thread.join()
    assert len(set(found)) == 3


def test_a_crowd_of_descriptors_is_no_end_of_it(kept: KeptConnection, database: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as ending:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
        ending.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(1100):
            ending.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        assert backend(kept, database) == backend(kept, database)
        kept.close()
