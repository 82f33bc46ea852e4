import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import application
from cli.servers.errors import StackError
from cli.stack import Stack
from cli.up import addresses
from gateway.stores.migrate import migrate


def test_the_help_says_what_comes_next() -> None:
    answer = CliRunner().invoke(application(("up",)), ["up", "--help"], terminal_width=200)
    assert answer.exit_code == 0
    assert "./latchkey device register bike-0001" in answer.output


def test_a_port_that_is_taken_is_said_before_anything_starts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        answer = CliRunner().invoke(application(("up",)), ["up", "--port", port], terminal_width=200)
    assert answer.exit_code == 2
    assert f"port {port} cannot be had (Address already in use)" in answer.output


def test_the_addresses_are_those_of_this_stack_and_the_token_is_in_the_page_alone(stack: Stack) -> None:
    said = addresses(stack, 8080, 9090, "a-token").splitlines()
    assert said[0].split()[1] == "http://127.0.0.1:8080/#token=a-token"
    assert f"mqtt://127.0.0.1:{stack.broker.device_port} " in said[4]
    assert str(stack.root) in said[5]
    assert "http://127.0.0.1:9090/readyz," in said[2].split()
    assert [line for line in said[1:] if "a-token" in line] == []


class Reached(Exception):
    """The step that comes after the migration."""


@pytest.fixture
def plain_database(monkeypatch: pytest.MonkeyPatch, empty_database: str) -> None:
    """The data of `up` was made before TimescaleDB was installed."""
    migrate(empty_database, "off")
    postgres = SimpleNamespace(timescale=True, ensure_database=lambda name: empty_database)

    @contextmanager
    def started(*_: Any, **__: Any) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(postgres=postgres)

    def reached() -> None:
        raise Reached

    monkeypatch.setattr("cli.up.Stack", SimpleNamespace(started=started))
    monkeypatch.setattr("cli.up.ensure_page", reached)


@pytest.mark.usefixtures("plain_database")
def test_data_that_was_made_plain_stays_plain_when_timescale_is_installed_since() -> None:
    answer = CliRunner().invoke(application(("up",)), ["up", "--port", "0"])
    assert isinstance(answer.exception, Reached)
    assert "as this database was first migrated" in answer.output


@pytest.mark.usefixtures("plain_database")
def test_data_that_does_not_fit_the_choice_is_refused_in_one_sentence() -> None:
    answer = CliRunner().invoke(application(("up",)), ["up", "--port", "0", "--timescale", "require"])
    assert isinstance(answer.exception, StackError)
    assert "TimescaleDB is required" in str(answer.exception)
