"""The connection a test asks its database on, question after question: to open one costs more than most answers."""

import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg


class KeptConnection:
    """One at a time, of the main thread, to the database that was asked last; never one that the server has left."""

    def __init__(self) -> None:
        self._dsn = ""
        self._connection: psycopg.Connection | None = None
        self._in_use = False

    @contextmanager
    def to(self, dsn: str) -> Iterator[psycopg.Connection]:
        """An autocommit connection without settings of its own; a new one for whoever asks from another thread, or
        while somebody asks."""
        if self._in_use or threading.current_thread() is not threading.main_thread():
            with psycopg.connect(dsn, autocommit=True) as connection:
                yield connection
            return
        self._in_use = True
        try:
            yield self._opened(dsn)
        except BaseException:
            # A time limit of the test may have broken off a question: its answer is on its way.
            self.close()
            raise
        finally:
            self._in_use = False

    def close(self) -> None:
        """The next question opens another one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _opened(self, dsn: str) -> psycopg.Connection:
        if self._connection is not None and (dsn != self._dsn or _is_left(self._connection)):
            self.close()
        if self._connection is None:
            # Prepared statements outlive the tables they were made for.
            self._connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=None)
            self._dsn = dsn
        return self._connection


def _is_left(connection: psycopg.Connection) -> bool:
    """A server that was stopped or killed, or ended this connection, has said so: nothing else comes unasked."""
    if connection.closed:
        return True
    # Not select(): a test that holds a crowd of connections has descriptors beyond its bound.
    asked = select.poll()
    asked.register(connection.fileno(), select.POLLIN)
    return bool(asked.poll(0))


KEPT = KeptConnection()
