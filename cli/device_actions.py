"""What the verb `device` does to the registry, the broker's password file and the quarantine."""

import getpass
import os
import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from cli import running
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.errors import MalformedTopic
from firmware_protocol.topics import checked_device_id, topic_prefix
from gateway.core.device import DeviceModel, Kind
from gateway.key_wrapping import SETTING, BadKeyEncryptionKey, KeyWrapping
from gateway.ports import StoreUnavailable
from gateway.reading import KnownDevice, QuarantineRow
from gateway.stores.bulk_import import AlreadyRegistered, Credentials, import_chunk
from gateway.stores.device_identity import By
from gateway.stores.device_queries import PostgresDeviceQueries
from gateway.stores.quarantine import PostgresQuarantine
from gateway.stores.reading_pool import ReadingPool
from gateway.stores.registration import NewDevice, bulk_register

SHOWN_BYTES = 48
QUIET_HEARTBEATS = 2.5
LOST_HEARTBEATS = 10


class Refused(Exception):
    """What was asked for cannot be done; the sentence says why."""


@dataclass(frozen=True, slots=True)
class ModelWish:
    """A model as it is named on the command line; an empty kind means that it must exist."""

    name: str
    kind: str = ""
    heartbeat_s: int = 60
    slots: int = 0

    def model(self) -> DeviceModel:
        """With the silences that follow from the heartbeat."""
        return DeviceModel(
            model=self.name,
            kind=Kind[self.kind.upper()],
            heartbeat_s=self.heartbeat_s,
            quiet_after_s=round(self.heartbeat_s * QUIET_HEARTBEATS),
            lost_after_s=self.heartbeat_s * LOST_HEARTBEATS,
            slot_count=self.slots,
        )


def register(
    dsn: str,
    device_id: str,
    wish: ModelWish,
    wrapping: KeyWrapping,
    *,
    password: str = "",
    operator_id: int = 1,
    with_key: bool = True,
) -> Credentials | None:
    """What the new device enters and signs with; None when it was registered before. Raises Refused."""
    models = [wish.model()] if wish.kind else []
    try:
        with psycopg.connect(dsn) as connection:
            new = NewDevice(checked_device_id(device_id), wish.name, operator_id)
            for model in models:
                _check_kind(connection, model)
            bulk_register(connection, models, [])
            (made,) = import_chunk(
                connection, [new], wrapping, console(), passwords=[password], with_keys=with_key
            )
            return made
    except AlreadyRegistered:
        return None
    except MalformedTopic as error:
        raise Refused(str(error)) from error
    except psycopg.errors.ForeignKeyViolation as error:
        raise Refused(
            f"there is no model {wish.name!r}, or no operator {operator_id}; give --kind to make the model"
        ) from error
    except psycopg.OperationalError as error:
        raise Refused(f"PostgreSQL does not answer: {error}") from error
    except psycopg.Error as error:
        missing = isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn)
        mended = "; ./latchkey migrate brings its schema up to date" if missing else ""
        said, _, _ = str(error).partition("\n")
        raise Refused(f"PostgreSQL: {said}{mended}") from error


def _check_kind(connection: psycopg.Connection, model: DeviceModel) -> None:
    """One word at one registration must not make cabinets of a fleet of bikes. Raises Refused."""
    row = connection.execute(
        "select kind from device_model where model = %s and exists (select from device where model = %s)",
        (model.model, model.model),
    ).fetchone()
    if row is not None and row[0] != model.kind:
        was = Kind(row[0]).name.lower()
        raise Refused(
            f"model {model.model!r} has devices and is a {was}: leave --kind out, or name another model"
        )


def console(why: str = "") -> By:
    """The person at this terminal, for the audit log."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return By(f"console:{name}", "console", why)


def wrapping_of(settings: Mapping[str, str]) -> KeyWrapping:
    """What seals the keys of devices. Raises Refused."""
    try:
        return KeyWrapping.from_environment(settings)
    except BadKeyEncryptionKey as error:
        raise Refused(f"{SETTING} {error}") from error


def first_steps(settings: Mapping[str, str], device_id: str, made: Credentials | None) -> Sequence[str]:
    """What a firmware engineer needs next, in lines."""
    prefix = topic_prefix(checked_device_id(device_id)).rstrip("/")
    lines = [f"topics    {prefix}/…"]
    if made is None:
        return [*lines, "password  as it was: ./latchkey device password gives it another one"]
    port = settings.get(running.DEVICE_PORT, "1883")
    report = '{"battery_pct":80,"lock":{"bolt":1}}'
    return [
        *lines,
        f"password  {made.password}",
        *([key_line(made.key)] if made.key is not None else []),
        f"try       mosquitto_pub -V mqttv5 -p {port} -u {device_id} -P {shlex.quote(made.password)} -q 1 "
        f"-t {prefix}/report -m '{report}'",
        f"{'Password is' if made.key is None else 'Password and key are'} shown this once."
        " The broker knows the device within seconds.",
    ]


def key_line(key: DeviceKey) -> str:
    """A key as a person copies it into a device."""
    return f"key       {key.number}:{key.secret.hex()}"


async def list_lines(dsn: str, after: str, limit: int) -> list[str]:
    """One line per device."""
    async with _reading(dsn) as queries:
        return [_line(device) for device in await queries.page(after, limit)]


async def show_lines(dsn: str, name: str) -> list[str]:
    """Raises Refused for a device nobody registered."""
    async with _reading(dsn) as queries:
        found = await queries.find(name)
    if found is None:
        raise Refused(f"no device is called {name!r}")
    record, model = found.record, found.model
    return [
        f"device     {record.device_id}",
        f"status     {record.status.name.lower()}",
        f"model      {record.model} ({model.kind.name.lower()}, reports every {model.heartbeat_s} s)",
        f"operator   {record.operator_id}",
        f"public id  {record.public_id}",
        f"marker     {record.marker}",
        f"boot       {record.boot or 'none given yet'}",
        f"topics     {topic_prefix(record.device_id).rstrip('/')}/…",
    ]


async def rebase(dsn: str, redis_url: str, device_id: str) -> None:
    """Raises Refused, StoreUnavailable (also where Redis has lost the shard: the gateway must rebuild it first)."""
    from gateway.clock import SystemClock
    from gateway.counting import MetricCounters
    from gateway.ingest.beliefs import Beliefs
    from gateway.ingest.rebase_device import UnknownDevice, rebase_device
    from gateway.stores.history import PostgresHistory
    from gateway.stores.live_states import RedisLiveStates
    from gateway.stores.redis_link import RedisLink
    from gateway.stores.registry import PostgresRegistry

    registry = PostgresRegistry(dsn, SystemClock())
    history = PostgresHistory(dsn)
    link = RedisLink(redis_url, name="rebase")
    try:
        beliefs = Beliefs(RedisLiveStates(link), _leave_rebuilding_to_the_gateway, MetricCounters())
        await rebase_device(checked_device_id(device_id), registry, beliefs, history)
    except (MalformedTopic, UnknownDevice) as error:
        raise Refused(str(error)) from error
    finally:
        await link.close()
        await history.close()
        await registry.close()


async def quarantine_lines(dsn: str, reason: str | None, before: int | None, limit: int) -> list[str]:
    """One line per frame, newest first."""
    quarantine = PostgresQuarantine(dsn)
    try:
        return [_frame_line(row) for row in await quarantine.page(before, limit, reason=reason)]
    finally:
        await quarantine.close()


async def mark_for_replay(dsn: str, numbers: Sequence[int], reason: str) -> int:
    """How many are marked now that were not before."""
    quarantine = PostgresQuarantine(dsn)
    try:
        if reason:
            return await quarantine.mark_reason_for_replay(reason)
        return await quarantine.mark_for_replay(numbers)
    finally:
        await quarantine.close()


@asynccontextmanager
async def _reading(dsn: str) -> AsyncIterator[PostgresDeviceQueries]:
    pool = ReadingPool(dsn)
    queries = PostgresDeviceQueries(dsn, pool)
    await pool.open()
    try:
        yield queries
    finally:
        await queries.close()
        await pool.close()


async def _leave_rebuilding_to_the_gateway(shard: int) -> str:
    raise StoreUnavailable(f"Redis has lost shard {shard:02x}; the gateway must rebuild it first")


def _line(device: KnownDevice) -> str:
    record = device.record
    kind = device.model.kind.name.lower()
    return f"{record.device_id:<32}  {record.status.name.lower():<10}  {kind:<8}  {record.model}"


def _frame_line(row: QuarantineRow) -> str:
    """A peer's bytes are shown as text only where they are printable."""
    at = datetime.fromtimestamp(row.received_ms / 1000, UTC).isoformat(timespec="milliseconds")
    start = row.frame[:SHOWN_BYTES]
    shown = start.decode() if start.isascii() and start.decode().isprintable() else start.hex()
    where = f" ({row.where})" if row.where else ""
    return f"{row.number}  {at}  {row.device_id}  {row.reason}{where}  {len(row.frame)} bytes: {shown}"
