"""A private PostgreSQL cluster: loopback only, fsync on, TimescaleDB loaded where there is one."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql

from cli.servers.account import Account
from cli.servers.errors import ServerDied, StaleFolder
from cli.servers.postgres_program import PostgresProgram
from cli.servers.private_server import CHILD_ENVIRONMENT, NotYet, PrivateServer
from cli.servers.scram import verifier
from cli.servers.spawn import spawn

OWNER = "latchkey"
ASK_TIMEOUT_S = 5
MAX_SHARED_BUFFERS_MB = 512


class PrivatePostgres(PrivateServer):
    """One cluster; every test and every demo has a database of its own in it."""

    name = "postgresql"
    stop_signal = signal.SIGINT
    """Fast shutdown: sessions are ended, a checkpoint is written."""
    death_signal = "QUIT"
    """Immediate shutdown: the postmaster takes its children and its shared memory along."""

    def __init__(self, data_dir: Path, account: Account, password: str, program: PostgresProgram) -> None:
        super().__init__(data_dir, account)
        self._password = password
        self.program = program
        self._cluster = data_dir / "cluster"

    @property
    def timescale(self) -> bool:
        """True when TimescaleDB is loaded."""
        return self.program.timescale

    def dsn(self, database: str = "postgres") -> str:
        """Where clients connect; the user may create databases and extensions."""
        return f"postgresql://{OWNER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, *, template: str = "template0") -> str:
        """A fresh database, a copy of `template`; returns its dsn."""
        name = f"lk_{os.urandom(6).hex()}"
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        return self.dsn(name)

    def ensure_database(self, name: str) -> str:
        """The dsn of the database of that name, made when it is not there yet."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if found is None:
                connection.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
                )
        return self.dsn(name)

    def drop_database(self, dsn: str) -> None:
        """Removes a database and ends whoever is still connected to it."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database_name(dsn)))
            )

    def drop_databases(self, *, but: str) -> None:
        """Removes all that `create_database` made, except that one."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            made = connection.execute(
                "SELECT datname FROM pg_database WHERE datname ~ '^lk_' AND datname <> %s", (but,)
            ).fetchall()
        for (name,) in made:
            self.drop_database(self.dsn(name))

    def seal_as_template(self, dsn: str) -> str:
        """Lets nobody connect any more (TimescaleDB's workers would), so that copies can be made; returns the name."""
        name = database_name(dsn)
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(sql.Identifier(name))
            )
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
        return name

    def prepare(self) -> None:
        """Makes the cluster unless a whole one is there; half of one, left by a killed run, is thrown away."""
        half_made = self.data_dir / "cluster.new"
        if half_made.exists():
            shutil.rmtree(half_made)
        if self._cluster.exists():
            self._check_whose()
            # The caller holds the folder's lock and has ended orphans: whatever this file names is gone.
            (self._cluster / "postmaster.pid").unlink(missing_ok=True)
            return
        self._initialise(half_made)
        half_made.rename(self._cluster)

    def configure(self) -> None:
        """Writes what differs from PostgreSQL's own defaults."""
        settings = {
            "listen_addresses": "'127.0.0.1'",
            "port": str(self.port),
            "unix_socket_directories": "''",
            "max_connections": "200",
            "shared_buffers": f"{_shared_buffers_mb()}MB",
            "work_mem": "16MB",
            "maintenance_work_mem": "64MB",
            "max_wal_size": "2GB",
            "checkpoint_timeout": "15min",
            "wal_compression": "on",
            # Two cores: a parallel plan would take them from ingest.
            "max_parallel_workers_per_gather": "0",
            "max_worker_processes": "24",
            "max_locks_per_transaction": "256",
            "jit": "off",
            "timezone": "'UTC'",
            "log_timezone": "'UTC'",
            "log_destination": "'stderr'",
            "logging_collector": "off",
        }
        if self.timescale:
            settings["shared_preload_libraries"] = "'timescaledb'"
            settings["timescaledb.telemetry_level"] = "off"
            settings["timescaledb.max_background_workers"] = "8"
        path = self._cluster / "postgresql.auto.conf"
        path.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        self.account.own(path, 0o600)

    def command(self) -> list[str]:
        """The postmaster in the foreground."""
        return [str(self.program.bin_dir / "postgres"), "-D", str(self._cluster)]

    def ask(self) -> None:
        """SELECT 1."""
        try:
            with psycopg.connect(self.dsn(), connect_timeout=ASK_TIMEOUT_S) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            raise NotYet(str(error)) from error

    def _initialise(self, cluster: Path) -> None:
        # What is a verifier already is kept as it is.
        secret = self.data_dir / "initial.verifier"
        secret.write_text(verifier(self._password))
        self.account.own(secret, 0o600)
        arguments = ["--username", OWNER, "--auth", "scram-sha-256", "--pwfile", str(secret)]
        arguments += ["--encoding", "UTF8", "--no-locale", "--no-sync"]
        with self.log_path.open("ab") as log:
            child = spawn(
                [str(self.program.bin_dir / "initdb"), "-D", str(cluster), *arguments],
                cwd=self.data_dir,
                environment=CHILD_ENVIRONMENT,
                stdout=log,
                stderr=subprocess.STDOUT,
                account=self.account,
            )
            exit_code = child.wait()
        secret.unlink()
        if exit_code != 0:
            raise ServerDied("initdb", exit_code, self.log_tail())

    def _check_whose(self) -> None:
        """Raises StaleFolder for a cluster of another version or another user."""
        made_by = (self._cluster / "PG_VERSION").read_text().strip()
        if made_by != str(self.program.major):
            raise StaleFolder(
                self._cluster, f"was made by PostgreSQL {made_by}, installed is {self.program.major}"
            )
        if self._cluster.stat().st_uid != self.account.uid:
            raise StaleFolder(self._cluster, f"does not belong to the user {self.account.name}")


def database_name(dsn: str) -> str:
    """The database a dsn of ours names. Raises ValueError when it names none."""
    found = re.search(r"/([^/?]+)(\?.*)?$", dsn)
    if found is None:
        raise ValueError("a dsn ends with /database")
    return found[1]


def _shared_buffers_mb() -> int:
    """An eighth of the machine, within reason: demo, tests and their page cache share the rest."""
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return max(64, min(MAX_SHARED_BUFFERS_MB, memory_mb // 8))
