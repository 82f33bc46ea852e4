import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.servers.account import Account
from cli.servers.errors import ServerDied
from cli.servers.ports import LOWEST_PORT, PortReservation
from cli.servers.private_server import PrivateServer
from cli.servers.process_tree import is_gone

LISTEN = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].sendall(b"hello")
"""


class Listener(PrivateServer):
    """The least that is a server."""

    name = "listener"

    def prepare(self) -> None:
        self.prepared = True

    def configure(self) -> None:
        self.configured_for = self.port

    def command(self) -> list[str]:
        return [sys.executable, "-c", LISTEN, str(self.port)]

    def ask(self) -> None:
        import socket

        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            assert connection.recv(5) == b"hello"


class Crasher(Listener):
    """Ends at once."""

    def command(self) -> list[str]:
        return ["sh", "-c", "echo out of luck; exit 3"]


@pytest.fixture
def ourselves() -> Account:
    import os
    import pwd

    own = pwd.getpwuid(os.geteuid())
    return Account(own.pw_name, own.pw_uid, own.pw_gid, switch=False)


@pytest.fixture
def listener(tmp_path: Path, ourselves: Account) -> Iterator[Listener]:
    server = Listener(tmp_path / "listener", ourselves)
    server.open(random.Random())
    yield server
    server.close()


def test_it_answers_when_opened_and_again_after_every_kind_of_end(listener: Listener) -> None:
    port = listener.port
    listener.ask()
    for end in (listener.kill, listener.terminate):
        pid = listener.pid
        end()
        assert not listener.running
        assert is_gone(pid)
        listener.start()
        listener.ask()
    assert listener.port == port == listener.configured_for


def test_a_frozen_one_can_be_stopped(listener: Listener) -> None:
    listener.freeze()
    listener.terminate()
    assert not listener.running


def test_starting_what_runs_changes_nothing(listener: Listener) -> None:
    pid = listener.pid
    listener.start()
    assert listener.pid == pid


def test_the_address_is_the_same_after_the_next_opening(tmp_path: Path, ourselves: Account) -> None:
    ports = []
    for _ in range(2):
        server = Listener(tmp_path / "listener", ourselves)
        server.open(random.Random())
        ports.append(server.port)
        server.close()
    assert ports[0] == ports[1]


def test_a_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path, ourselves: Account) -> None:
    server = Listener(tmp_path / "listener", ourselves)
    taken = PortReservation(LOWEST_PORT - 1)
    (tmp_path / "listener.ports").write_text(str(taken.port))
    server.open(random.Random())
    assert server.port != taken.port
    server.close()
    taken.release()


def test_one_that_ends_at_once_says_what_its_log_says(tmp_path: Path, ourselves: Account) -> None:
    with pytest.raises(ServerDied, match="out of luck"):
        Crasher(tmp_path / "crasher", ourselves).open(random.Random())


def test_one_that_was_never_started_has_no_process(tmp_path: Path, ourselves: Account) -> None:
    server = Listener(tmp_path / "listener", ourselves)
    assert not server.running
    server.kill()
    server.terminate()
    with pytest.raises(ProcessLookupError):
        _ = server.pid
