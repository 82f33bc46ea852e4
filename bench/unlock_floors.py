"""The floors of the benchmark `unlock`: a bare MQTT ping-pong with the same fleet, and bare commits.

Two kinds of commits. One of a single row says what a sync of the disk costs; on a machine whose disk acknowledges
from a cache that is nearly nothing, and tells little about a line whose point is what it leaves behind. So the ratio
is against the ping-pong plus the commits of the very rows that one unlock leaves, four transactions one after the
other, since each must be durable before the next may begin: the order with its key, fence, first lines and place in
the chain of the audit log; that it is being sent; the report; the settlement. Plain inserts and updates, written by
hand, over one blocking connection with prepared statements, each transaction one pipeline and so one way there and
back: no function, no notice, no question and nobody waiting.
"""

import asyncio
import hashlib
import time
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import psycopg
from mqtt5 import ConnectPacket, PublishPacket

from bench.answering_fleet import ECHO_FROM, ECHO_TO
from bench.mqtt_peer import MqttPeer
from cli.stack import Stack

PAYLOAD = bytes(120)
"""As long as a signed unlock."""

_STEPS = ("order", "sent", "report", "settlement")


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
    """Seconds of each, sorted; the fleet of the run is the one that answers."""
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
        return sorted([await pinger.ping() for _ in range(count)])
    finally:
        transport.close()


def bare_commits(dsn: str, count: int) -> list[float]:
    """Seconds of each one-row transaction, sorted, as durable as those of the gateway."""
    took_s = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create table if not exists bare_commit (n bigint, at timestamptz default now())")
        for number in range(count):
            begin_s = time.perf_counter()
            connection.execute("insert into bare_commit (n) values (%s)", (number,), prepare=True)
            took_s.append(time.perf_counter() - begin_s)
        connection.execute("drop table bare_commit")
    return sorted(took_s)


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
        """Seconds of each of the four transactions."""
        self._seq += 1
        command_id = uuid4()
        moments_s = [time.perf_counter()]
        for step in (self._order, self._send, self._report, self._settle):
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

    def _report(self, command_id: UUID) -> None:
        self._ask(
            "insert into report (device_no, operator_id, boot, seq, at, received_at, clock_suspect, kept, frame)"
            " values (%s, %s, 1, %s, now(), now(), false, false, %s)",
            self._device_no, self._operator_id, self._seq, PAYLOAD,
        )  # fmt: skip

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


def durable_unlocks(dsn: str, count: int) -> dict[str, list[float]]:
    """Seconds of each, sorted, by step and as `all`; in a migrated database with a device, which holds rows then
    that no gateway wrote."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        bare = DurableUnlocks(connection)
        took_s = [bare.one() for _ in range(count)]
    steps = {step: sorted(one[place] for one in took_s) for place, step in enumerate(_STEPS)}
    return {**steps, "all": sorted(map(sum, took_s))}
