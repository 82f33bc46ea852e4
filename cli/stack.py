"""Private mosquitto, Redis and PostgreSQL on free ports, started and stopped for demo and tests."""

import base64
import hashlib
import os
import random
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from cli.servers.account import Account, reachable_root
from cli.servers.broker import PrivateBroker
from cli.servers.folder import locked, passwords
from cli.servers.postgres import PrivatePostgres
from cli.servers.postgres_program import Wanted, find_postgres
from cli.servers.private_server import PrivateServer
from cli.servers.redis import PrivateRedis
from cli.tokens import JWT_SECRET, LIFE_S, token_of

CHECKOUT = Path(__file__).resolve().parents[1]
STATE_FOLDER = CHECKOUT / ".latchkey"


class Stack:
    """The three servers of one run and what a gateway or api process needs to know of them."""

    def __init__(self, root: Path, timescale: Wanted) -> None:
        self.root = root
        self.timescale: Wanted = timescale
        """As it was asked for; where it comes by itself, who migrates says why it did not."""
        secret = passwords(root, ("postgres", "redis", "gateway", "bridge", "keys", "tokens"))
        # As long as the folder lives its database does, and the device keys in it must stay readable.
        self._key_encryption_key = key_encryption_key(secret["keys"])
        self._token_secret = hashlib.sha256(secret["tokens"].encode()).hexdigest()
        self.broker = PrivateBroker(
            root / "mosquitto", Account.for_server("mosquitto"), secret["gateway"], secret["bridge"]
        )
        self.redis = PrivateRedis(root / "redis", Account.for_server("redis"), secret["redis"])
        self.postgres = PrivatePostgres(
            root / "postgres", Account.for_server("postgres"), secret["postgres"], find_postgres(timescale)
        )

    @classmethod
    @contextmanager
    def started(cls, root: Path, *, timescale: Wanted = "auto") -> Iterator["Stack"]:
        """All three, answering; stopped in order at the end, on Ctrl-C and on SIGTERM.

        Raises StackError and its kinds. A folder left by a killed run is taken over with its data.
        """
        place = reachable_root(root)
        with locked(place), signals_end_the_run():
            stack = cls(place, timescale)
            try:
                stack._open()
                yield stack
            finally:
                stack._close()

    @property
    def servers(self) -> tuple[PrivateServer, ...]:
        """All of them, in the order in which they are stopped."""
        return (self.broker, self.redis, self.postgres)

    def create_database(self) -> str:
        """The dsn of a fresh, empty database."""
        return self.postgres.create_database()

    def environment(self, *, dsn: str, redis_db: int = 0, **more: str) -> dict[str, str]:
        """The whole environment for a gateway or api process; `more` are further settings by their full name."""
        settings = {
            "LATCHKEY_POSTGRES_DSN": dsn,
            "LATCHKEY_REDIS_URL": self.redis.url(redis_db),
            "LATCHKEY_MQTT_HOST": "127.0.0.1",
            "LATCHKEY_MQTT_PORT": str(self.broker.internal_port),
            "LATCHKEY_MQTT_USERNAME": self.broker.gateway_user,
            "LATCHKEY_MQTT_PASSWORD": self.broker.gateway_password,
            "LATCHKEY_GATEWAY_NAME": "gateway-1",
            "LATCHKEY_BROKER_FOLDER": str(self.broker.data_dir),
            "LATCHKEY_BROKER_ADDRESS": f"mqtt://127.0.0.1:{self.broker.device_port}",
            "LATCHKEY_GATEWAY_HTTP_PORT": "0",
            "LATCHKEY_API_HOST": "127.0.0.1",
            "LATCHKEY_API_PORT": "0",
            "LATCHKEY_KEY_ENCRYPTION_KEY": self._key_encryption_key,
            JWT_SECRET: self._token_secret,
            "LATCHKEY_TIMESCALE": "require" if self.postgres.timescale else "off",
        }
        return inherited_environment() | settings | more

    def token(self, role: str = "staff", *, operator_id: int = 1, life_s: float = LIFE_S) -> str:
        """A bearer token for an API process of `environment`."""
        return token_of({JWT_SECRET: self._token_secret}, role=role, operator_id=operator_id, life_s=life_s)

    def exporting(self) -> dict[str, str]:
        """Settings with which a gateway tells the broker who may connect, instead of `broker.set_devices`."""
        return {
            "LATCHKEY_BROKER_PASSWORDS": str(self.broker.devices_path),
            "LATCHKEY_BROKER_PID_FILE": str(self.broker.pid_path),
        }

    def _open(self) -> None:
        """All at once: making a database cluster takes longest."""
        chance = random.Random()
        with ThreadPoolExecutor(len(self.servers)) as pool:
            opening = [pool.submit(server.open, chance) for server in self.servers]
        for one in opening:
            one.result()

    def _close(self) -> None:
        with ThreadPoolExecutor(len(self.servers)) as pool:
            closing = [pool.submit(server.close) for server in self.servers]
        for one in closing:
            one.result()


def key_encryption_key(password: str) -> str:
    """The setting that wraps device keys, made of a random password of 144 bits."""
    return f"stack:{base64.b64encode(hashlib.sha256(password.encode()).digest()).decode()}"


def inherited_environment() -> dict[str, str]:
    """What a child of ours may know of our environment: everything but settings meant for another stack."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LATCHKEY_")}
    return kept | {"PYTHONPATH": str(CHECKOUT)}


@contextmanager
def signals_end_the_run() -> Iterator[None]:
    """Turns SIGTERM and SIGHUP into SystemExit, so that servers are stopped in order; Ctrl-C does so by itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is signal.SIG_DFL:
            signal.signal(number, _exit)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
