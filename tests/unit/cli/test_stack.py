import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from cli.servers.account import reachable_root
from cli.servers.errors import StackInUse
from cli.servers.folder import owned
from cli.servers.postgres import database_name
from cli.servers.process_tree import is_gone, tree
from cli.stack import CHECKOUT, STATE_FOLDER, Stack
from tests.support.waiting import until

PROGRAM = """
import signal, sys
from pathlib import Path
from cli.stack import Stack
# A shell's background job starts with Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
# And whoever runs the tests under nohup does not mean these.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
with Stack.started(Path(sys.argv[1])) as stack:
    print(*(server.pid for server in stack.servers), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder for one stack at a time, which finds the data of the one before."""
    run = str(os.getpid())
    folder = reachable_root(STATE_FOLDER / "tests" / f"{run}-own")
    with owned(folder.parent, run):
        yield folder
    shutil.rmtree(folder, ignore_errors=True)


def start_another(place: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A stack in a process of its own, and the ids of its servers."""
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(place)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert child.stdout is not None
    line = child.stdout.readline()
    return child, [int(pid) for pid in line.split()]


def end(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.wait(60)
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()


def test_every_server_answers_and_a_killed_one_comes_back_on_its_port(stack: Stack) -> None:
    dsn = stack.create_database()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    ports = [server.ports for server in stack.servers]
    for server in stack.servers:
        before = server.pid
        server.kill()
        assert not server.running
        server.start()
        assert server.pid != before
    assert [server.ports for server in stack.servers] == ports
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]
    with redis.Redis.from_url(stack.redis.url()) as client:
        assert client.ping()
    stack.postgres.drop_database(dsn)


def test_a_frozen_server_holds_its_clients_and_answers_when_thawed(stack: Stack) -> None:
    with psycopg.connect(stack.postgres.dsn(), autocommit=True) as connection:
        stack.postgres.freeze()
        try:
            state = [
                Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
                for pid in tree(stack.postgres.pid)
            ]
            assert set(state) == {"T"}
        finally:
            stack.postgres.thaw()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_servers_die_with_a_parent_that_is_killed_and_the_next_run_takes_its_folder_over(place: Path) -> None:
    child, servers = start_another(place)
    child.kill()
    end(child)
    until(lambda: all(is_gone(pid) for pid in servers))
    with Stack.started(place) as stack:
        assert all(server.running for server in stack.servers)
        that_only_one_database_is_kept(stack)


def that_only_one_database_is_kept(stack: Stack) -> None:
    """The next phase of a test run needs the template of the one before, and nothing else of it."""
    kept, *others = (stack.create_database() for _ in range(3))
    stack.postgres.drop_databases(but=database_name(kept))
    for dsn in others:
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(dsn)
    with psycopg.connect(kept) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_servers_are_stopped_in_order_by_the_signals_that_end_a_run(
    place: Path, number: signal.Signals
) -> None:
    child, servers = start_another(place)
    child.send_signal(number)
    end(child)
    assert all(is_gone(pid) for pid in servers)
    # An orderly stop of the broker leaves its sessions on disk.
    root = (
        place if (place / "mosquitto").exists() else next(Path("/var/tmp").glob(f"latchkey-*/{place.name}"))
    )
    assert (root / "mosquitto" / "mosquitto.db").exists()


def test_one_folder_belongs_to_one_run(place: Path) -> None:
    child, _ = start_another(place)
    try:
        with pytest.raises(StackInUse), Stack.started(place):
            pass
    finally:
        child.terminate()
        end(child)


def test_half_a_cluster_of_a_killed_run_is_made_again(place: Path) -> None:
    with Stack.started(place) as stack:
        root = stack.root
    cluster = root / "postgres" / "cluster"
    cluster.rename(cluster.with_name("cluster.new"))
    (cluster.with_name("cluster.new") / "PG_VERSION").unlink()
    with Stack.started(place) as stack, psycopg.connect(stack.postgres.dsn()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_every_server_works_in_a_folder_whose_name_holds_what_configurations_use(place: Path) -> None:
    with Stack.started(place / 'my "data" \\ here') as stack:
        assert all(server.running for server in stack.servers)
        with redis.Redis.from_url(stack.redis.url()) as client:
            assert client.config_get("dir") == {"dir": str(stack.redis.data_dir)}
        stack.broker.set_devices({"bike-1": "password"})
        stack.broker.wait_until_let_in("bike-1", "password")
    assert (stack.broker.data_dir / "mosquitto.db").exists()


def test_a_process_hears_only_of_its_own_stack(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATCHKEY_API_PORT", "1")
    monkeypatch.setenv("LATCHKEY_UNKNOWN", "1")
    environment = stack.environment(dsn="postgresql://x/y", LATCHKEY_API_HOST="::1")
    assert environment["LATCHKEY_API_PORT"] == "0"
    assert environment["LATCHKEY_API_HOST"] == "::1"
    assert "LATCHKEY_UNKNOWN" not in environment
