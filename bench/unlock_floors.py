"""The floors of the benchmark `unlock`: a bare MQTT ping-pong with the same fleet, and bare commits.

Two kinds of commits. One of a single row says what a sync of the disk costs; on a machine whose disk acknowledges
from a cache that is nearly nothing, and tells little about a line whose point is what it leaves behind. So the ratio
is against the ping-pong plus the commits of the very rows that one unlock leaves before it is answered, three
transactions one after the other, since each must be durable before the next may begin: the order with its key, fence,
first lines and place in the chain of the audit log; that it is being sent; the settlement. (The report is stored too,
beside the last of them, and nobody waits for that.) Plain inserts and updates, written by hand, over one blocking
connection with prepared statements, each transaction one pipeline and so one way there and back: no function, no
notice, no question and nobody waiting.
"""

import asyncio
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import psycopg
import uvloop
from mqtt5 import ConnectPacket, PublishPacket

from bench.answering_fleet import ECHO_FROM, ECHO_TO
from bench.load_rig import LOAD_MODEL
from bench.mqtt_peer import MqttPeer
from bench.result import percentile
from cli.stack import Stack
from firmware_protocol.messages import DeviceId
from gateway.stores.migrate import migrate
from gateway.stores.registration import NewDevice, bulk_register

PAYLOAD = bytes(120)
"""As long as a signed unlock."""

_STEPS = ("order", "sent", "settlement")


class Pinger(MqttPeer):
    """Publishes, and is told when the echo is back."""

    def __init__(self, connect: ConnectPacket) -> None:
        super().__init__(connect, [ECHO_TO])
        self.back: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def heard(self, packet: PublishPacket) -> None:
        self.back.set_result(None)

    async def ping(self) -> float:
        """Seconds there and back."""
        self.back = asyncio.get_running_loop().create_future()
        begin_s = time.perf_counter()
        self.say(ECHO_FROM, PAYLOAD)
        await self.back
        return time.perf_counter() - begin_s


async def ping_pongs(stack: Stack, count: int) -> list[float]:
    """Seconds of each but the first; the fleet of the run is the one that answers."""
    broker = stack.broker
    packet = ConnectPacket(
        "bench-pinger",
        username=broker.bridge_user,
        password=broker.bridge_password.encode(),
        clean_start=True,
    )
    loop = asyncio.get_running_loop()
    transport, pinger = await loop.create_connection(
        lambda: Pinger(packet), "127.0.0.1", broker.internal_port
    )
    try:
        await pinger.subscribed
        await pinger.ping()
        return [await pinger.ping() for _ in range(count)]
    finally:
        transport.close()


def bare_commits(connection: psycopg.Connection, count: int) -> list[float]:
    """Seconds of each one-row transaction, as durable as those of the gateway; in the table `bare_commit`."""
    took_s = []
    for number in range(count):
        begin_s = time.perf_counter()
        connection.execute("insert into bare_commit (n) values (%s)", (number,), prepare=True)
        took_s.append(time.perf_counter() - begin_s)
    return took_s


class DurableUnlocks:
    """Leaves behind what unlocks of one bike leave, and nothing else."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        row = self._ask("select device_no, operator_id, device_id, model from device limit 1").fetchone()
        assert row is not None
        self._device_no, self._operator_id, self._device_id, self._model = row
        self._seq = 0
        head = self._ask("select audit_no, hash from audit_head").fetchone()
        assert head is not None
        self._head: tuple[int, bytes] = (head[0], head[1])

    def one(self) -> tuple[float, ...]:
        """Seconds of each of the three transactions."""
        self._seq += 1
        command_id = uuid4()
        moments_s = [time.perf_counter()]
        for step in (self._order, self._send, self._settle):
            # Without a begin: what stands before one sync of a pipeline is one transaction, and one way there and back.
            with self._connection.pipeline():
                step(command_id)
            moments_s.append(time.perf_counter())
        return tuple(later - earlier for earlier, later in pairwise(moments_s))

    def _order(self, command_id: UUID) -> None:
        self._ask(
            "insert into command_key (principal, key, operator_id, digest, command_id) values (%s, %s, %s, %s, %s)",
            "service:bench", str(command_id), self._operator_id, bytes(32), command_id,
        )  # fmt: skip
        self._ask("update device set fence = fence + 1 where device_no = %s", self._device_no)
        self._ask(
            "insert into command (command_id, operator_id, device_no, device_id, shard, model, firmware, kind,"
            " one_shot, slot, settings, boot, fence, issued_at, not_after, phase, requested_by, claim_id,"
            " openings_before, unit_before) values (%s, %s, %s, %s, 0, %s, '', 1, true, 0, '{}', 1, %s, now(),"
            " now() + interval '10 s', 'issued', 'service:bench', '', 1, '')",
            command_id, self._operator_id, self._device_no, self._device_id, self._model, self._seq,
        )  # fmt: skip
        self._tell(command_id, "requested", "issued")
        self._ask("select 1 from audit_head for update")
        # Nobody else writes here, so the head need not be read.
        number, before = self._head[0] + 1, self._head[1]
        line = f"{number},{self._operator_id},service:bench,command_issue,device:{self._device_id}"
        hashed = hashlib.sha256(before + line.encode()).digest()
        self._head = number, hashed
        self._ask(
            "insert into audit (audit_no, operator_id, at, actor, role, action, subject, why, after, prev_hash, hash)"
            " values (%s, %s, now(), 'service:bench', 'service', 'command_issue', %s, '', %s, %s, %s)",
            number, self._operator_id, f"device:{self._device_id}", f'{{"command": "{command_id}"}}', before, hashed,
        )  # fmt: skip
        self._ask("update audit_head set audit_no = %s, hash = %s", number, hashed)

    def _send(self, command_id: UUID) -> None:
        self._ask(
            "update command set phase = 'sent', revision = 2, lease_no = 1, sent_at = now() where command_id = %s",
            command_id,
        )
        self._tell(command_id, "claimed")

    def _settle(self, command_id: UUID) -> None:
        self._ask(
            "update command set phase = 'confirmed', revision = 3, settled_at = now() where command_id = %s",
            command_id,
        )
        self._tell(command_id, "published", "device_ack", "evidence", "settled")

    def _tell(self, command_id: UUID, *lines: str) -> None:
        values = ", ".join(["(%s, %s, now(), %s, 'sent', '{}')"] * len(lines))
        self._ask(
            f"insert into command_event (operator_id, command_id, at, what, phase, detail) values {values}",
            *(part for what in lines for part in (self._operator_id, command_id, what)),
        )

    def _ask(self, sql: str, *arguments: object) -> "psycopg.Cursor[tuple[Any, ...]]":
        return self._connection.execute(sql.encode(), arguments, prepare=True)


class UnlockFloors:
    """Samples of all of them, a few at a time between those of what is measured: a machine that others use too is not
    the same from one second to the next."""

    def __init__(self, stack: Stack, connection: psycopg.Connection) -> None:
        self._stack = stack
        self._connection = connection
        self._durable = DurableUnlocks(connection)
        self._pings_s: list[float] = []
        self._commits_s: list[float] = []
        self._unlocks_s: list[tuple[float, ...]] = []

    @classmethod
    @contextmanager
    def open(cls, stack: Stack) -> "Iterator[UnlockFloors]":
        """In a database of its own: its rows are nobody's."""
        dsn = stack.create_database()
        try:
            migrate(dsn, "require" if stack.postgres.timescale else "off")
            with psycopg.connect(dsn) as connection:
                bulk_register(connection, [LOAD_MODEL], [NewDevice(DeviceId("floor-1"), LOAD_MODEL.model)])
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("create table bare_commit (n bigint, at timestamptz default now())")
                yield cls(stack, connection)
        finally:
            stack.postgres.drop_database(dsn)

    def warm_up(self, count: int) -> None:
        """What the first ones are slower by does not count."""
        self.sample(count)
        for samples in (self._pings_s, self._commits_s, self._unlocks_s):
            samples.clear()

    def sample(self, count: int) -> None:
        """So many of each."""
        self._pings_s += uvloop.run(ping_pongs(self._stack, count))
        self._commits_s += bare_commits(self._connection, count)
        self._unlocks_s += [self._durable.one() for _ in range(count)]

    def medians_ms(self) -> dict[str, float]:
        """By name; `idle_p50_ms` is that of the whole."""
        steps = dict(zip(_STEPS, zip(*self._unlocks_s, strict=True), strict=True))
        durable = {**steps, "all": tuple(map(sum, self._unlocks_s))}
        ping_ms = percentile(sorted(self._pings_s), 0.5) * 1000
        found = {
            "ping_pong_p50_ms": ping_ms,
            "commit_p50_ms": percentile(sorted(self._commits_s), 0.5) * 1000,
            **{
                f"durable_{name}_p50_ms": percentile(sorted(took), 0.5) * 1000
                for name, took in durable.items()
            },
        }
        return {**found, "idle_p50_ms": ping_ms + found["durable_all_p50_ms"]}
