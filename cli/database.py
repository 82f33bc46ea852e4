"""PostgreSQL as a verb of the command line meets it: connected, or one sentence and exit code 1."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import psycopg
import typer

from cli import running

CONNECT_WITHIN_S = 10


@contextmanager
def database() -> Iterator[psycopg.Connection]:
    """The database of the settings, each statement a transaction of its own unless one is begun. Raises typer.Exit,
    after the sentence, for every psycopg.Error that its user does not catch."""
    try:
        with psycopg.connect(
            running.setting(running.POSTGRES_DSN), autocommit=True, connect_timeout=CONNECT_WITHIN_S
        ) as connection:
            yield connection
    except psycopg.Error as error:
        fail(f"PostgreSQL: {str(error).strip()}; ./latchkey doctor says what is missing")


def fail(sentence: str) -> NoReturn:
    """Says it on stderr. Raises typer.Exit."""
    print(f"latchkey: {sentence}", file=sys.stderr)
    raise typer.Exit(1)
