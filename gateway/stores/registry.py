"""Devices and models as the gateway asks for them: from memory where it can."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
from msgspec import structs

from firmware_protocol.errors import MalformedTopic
from firmware_protocol.messages import DeviceId, Hello
from firmware_protocol.topics import checked_device_id, shard_of
from gateway.core.device import DeviceModel, DeviceRecord, Status
from gateway.ports import Clock, StoreUnavailable
from gateway.stores.bounded import Bounded
from gateway.stores.device_rows import DEVICE_COLUMNS, MODEL_COLUMNS, device_model, device_record, signed
from gateway.stores.postgres_link import Arguments, PostgresLink
from gateway.stores.registration import MAX_DRAWS, draw_marker, draw_public_id
from gateway.stores.registration import ModelRefused as ModelRefused
from gateway.stores.registration import NewDevice as NewDevice
from gateway.stores.registration import bulk_register as bulk_register
from gateway.stores.statements import statement

MAX_RECORDS = 250_000
"""Of the fleet of one gateway, some 100 MB; the ones known longest go first."""

MAX_UNKNOWN = 20_000
"""Ids that nobody registered: a scan must not fill the memory."""

UNKNOWN_FOR_S = 3.0
"""A device that was just registered is heard at its next report."""

POLL_S = 2.0
"""A device that is suspended is refused within this and one round trip."""

OVERLAP = timedelta(seconds=15)
"""A change is looked for this long after it was made: longer than any transaction that makes one."""

PAGE = 2_000
"""Changed devices per round trip while polling, so that a large registration does not hold up the loop."""

_LOAD = f"select {DEVICE_COLUMNS} from device where device_id = any(%s)".encode()
_NOW = b"select clock_timestamp()"
_TIME_MS = b"select (extract(epoch from clock_timestamp()) * 1000)::bigint"
# A transaction's rows appear all at once, so those of one that was read need not be read again.
_CHANGING = b"select distinct xmin::text::bigint from device where changed_at > %s"
_CHANGED = f"""
    select {DEVICE_COLUMNS}, changed_at from device
    where (changed_at, device_no) > (%s, %s) and xmin::text::bigint = any(%s)
    order by changed_at, device_no limit {PAGE}
""".encode()
_MODELS = f"select {MODEL_COLUMNS} from device_model".encode()
_ISSUED = b"""
    select device_no, boot from device_boot
    join unnest(%s::int[], %s::bigint[]) as asked (device_no, boot) using (device_no, boot)
"""
_REGISTER = b"""
    insert into device (device_id, operator_id, model, status, public_id, marker, shard)
    select %s, operator_id, model, %s, %s, %s, %s from device_model where model = %s and auto_register
    on conflict (device_id) do nothing
"""
_GIVE_BOOTS = statement("give_boots")
_GIVE_PUBLIC_IDS = statement("give_public_ids")


class PostgresRegistry:
    """ports.Registry on one connection of its own."""

    known: Callable[[DeviceId], DeviceRecord | None]
    """From memory only."""

    def __init__(self, dsn: str, clock: Clock) -> None:
        self._link = PostgresLink(dsn, name="registry")
        self._clock = clock
        self._records: Bounded[DeviceId, DeviceRecord] = Bounded(MAX_RECORDS)
        # Asked for every report: the dict's own method spares a call.
        self.known = self._records.get
        self._unknown_until_s: Bounded[DeviceId, float] = Bounded(MAX_UNKNOWN)
        self._issued: Bounded[tuple[int, int], None] = Bounded(MAX_RECORDS)
        self._models: dict[str, DeviceModel] = {}
        self.heard_s = float("-inf")
        """By the monotonic clock: until then every change of what is in memory was taken in."""
        self._looked_at: datetime | None = None
        """When the changes were last taken in, by the clock of PostgreSQL."""
        self._heard: frozenset[int] = frozenset()
        """Transactions of the last moments whose changes are all taken in."""

    async def open(self) -> None:
        """Loads the models. Raises StoreUnavailable."""
        await self.refresh()

    async def close(self) -> None:
        await self._link.close()

    async def load(self, device_ids: Sequence[DeviceId]) -> Mapping[DeviceId, DeviceRecord]:
        """From PostgreSQL for those not in memory; unknown ids are missing in the answer.
        Raises StoreUnavailable."""
        now_s = self._clock.monotonic_s()
        unknown = self._unknown_until_s
        missing = [
            device_id
            for device_id in dict.fromkeys(device_ids)
            if device_id not in self._records and unknown.get(device_id, 0.0) <= now_s
        ]
        found = await self._fetch(missing) if missing else {}
        for device_id in missing:
            if device_id not in found:
                unknown.keep(device_id, now_s + UNKNOWN_FOR_S)
        answer = {}
        for device_id in device_ids:
            record = self._records.get(device_id) or found.get(device_id)
            if record is not None:
                answer[device_id] = record
        return answer

    def forget(self, device_id: DeviceId) -> None:
        """It is read anew when it is asked for."""
        self._records.pop(device_id, None)

    def model(self, name: str) -> DeviceModel:
        """Raises KeyError for a model that was never registered."""
        return self._models[name]

    async def time_ms(self) -> int:
        """Unix ms now by the one clock of the installation: PostgreSQL's. Raises StoreUnavailable."""
        ((time_ms,),) = await self._link.rows(_TIME_MS, ())
        return int(time_ms)

    async def boots_issued(self, pairs: Sequence[tuple[int, int]]) -> frozenset[tuple[int, int]]:
        """Which of these (device_no, boot) were ever given. Raises StoreUnavailable."""
        asked = [pair for pair in pairs if pair not in self._issued]
        if asked:
            device_nos, boots = [no for no, _ in asked], [boot for _, boot in asked]
            for device_no, boot in await self._link.rows(_ISSUED, (device_nos, boots)):
                self._issued.keep((device_no, boot), None)
        return frozenset(pair for pair in pairs if pair in self._issued)

    async def give_boots(
        self, hellos: Sequence[tuple[DeviceRecord, Hello]], now_ms: int
    ) -> Mapping[DeviceId, DeviceRecord]:
        """Committed on return: the same power_on_id keeps its boot, a new one gets max(last + 1, unix seconds now).
        Of several hellos of one device the last is answered; one that comes within a second of a new boot is
        missing in the answer and must be said again. Raises StoreUnavailable."""
        asked = {record.device_no: (record, hello.power_on_id) for record, hello in hellos}
        answers: dict[DeviceId, DeviceRecord] = {}
        new: dict[int, tuple[DeviceRecord, int]] = {}
        for device_no, (record, power_on_id) in asked.items():
            current = self._records.get(record.device_id, record)
            if current.boot and current.power_on_id == power_on_id:
                answers[record.device_id] = current
            else:
                new[device_no] = (current, power_on_id)
        if new:
            arguments = {
                "device_nos": list(new),
                "power_on_ids": [signed(power_on_id) for _, power_on_id in new.values()],
                "now_ms": now_ms,
                "now_s": now_ms // 1000,
            }
            for device_no, boot in await self._link.rows(_GIVE_BOOTS, arguments):
                asked_record, power_on_id = new[device_no]
                # What changed while we waited for the answer is not to be forgotten with it.
                record = self._records.get(asked_record.device_id, asked_record)
                answers[record.device_id] = self._with_boot(record, boot, power_on_id)
        return answers

    async def give_public_ids(self, used: Mapping[DeviceId, int]) -> Mapping[DeviceId, DeviceRecord]:
        """Committed on return: another public id and marker for each device whose `public_id_no` is not above this
        one, unless its row is held by others or what was drawn is another's. Returns all as they are now, read anew.
        Raises StoreUnavailable."""

        def draw() -> Arguments:
            return {
                "device_ids": list(used),
                "used_nos": list(used.values()),
                "public_ids": [draw_public_id() for _ in used],
                "markers": [draw_marker() for _ in used],
            }

        await self._execute_drawn(_GIVE_PUBLIC_IDS, draw)
        return await self._fetch(list(used))

    async def register_unknown(self, device_id: DeviceId, model: str) -> DeviceRecord | None:
        """Registers when the model allows it; None when it does not, or the id cannot be a device's.
        Raises StoreUnavailable."""
        allowed = self._models.get(model)
        if allowed is None or not allowed.auto_register:
            return None
        try:
            checked_device_id(device_id)
        except MalformedTopic:
            return None

        def draw() -> Arguments:
            return device_id, Status.ACTIVE, draw_public_id(), draw_marker(), shard_of(device_id), model

        await self._execute_drawn(_REGISTER, draw)
        return (await self._fetch([device_id])).get(device_id)

    async def follow_changes(self) -> None:
        """Runs until cancelled: hears of suspended, moved and new devices within POLL_S. The app starts it."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.refresh()
            except StoreUnavailable:
                # What is known stays; the next poll looks again from where this one began.
                continue

    async def refresh(self) -> None:
        """Takes in all changes of models and devices since the last time; new boots are none, whoever gives them
        knows them. Raises StoreUnavailable."""
        began_s = self._clock.monotonic_s()
        await self._load_models()
        ((now,),) = await self._link.rows(_NOW, ())
        since = (self._looked_at or now) - OVERLAP
        changing = frozenset(row[0] for row in await self._link.rows(_CHANGING, (since,)))
        # At first nothing is in memory that an earlier change could concern.
        if self._looked_at is not None:
            await self._take_changes(since, list(changing - self._heard))
        self._looked_at, self._heard, self.heard_s = now, changing, began_s

    async def _take_changes(self, since: datetime, transactions: Sequence[int]) -> None:
        place = (since, 0)
        more = bool(transactions)
        while more:
            rows = await self._link.rows(_CHANGED, (*place, transactions))
            for row in rows:
                self._take_change(row)
            more = len(rows) == PAGE
            if more:
                place = (rows[-1][-1], rows[-1][0])

    def _take_change(self, row: Sequence[Any]) -> None:
        device_id = DeviceId(row[1])
        self._unknown_until_s.pop(device_id, None)
        held = self._records.get(device_id)
        if held is None:
            return
        record = device_record(row)
        if held.boot > record.boot:
            # Read before a boot was given that this process knows of.
            record = structs.replace(record, boot=held.boot, power_on_id=held.power_on_id)
        self._records[record.device_id] = record

    def _with_boot(self, record: DeviceRecord, boot: int, power_on_id: int) -> DeviceRecord:
        """The answer to a hello; memory keeps it unless it is an older power-on than the newest."""
        self._issued.keep((record.device_no, boot), None)
        answer = structs.replace(record, boot=boot, power_on_id=power_on_id)
        if boot >= record.boot:
            self._records.keep(record.device_id, answer)
        return answer

    async def _execute_drawn(self, sql: bytes, draw: Callable[[], Arguments]) -> None:
        """Draws again while what was drawn turns out to be another device's."""
        for _ in range(MAX_DRAWS):
            drawn = draw()
            try:
                await self._link.run(lambda connection, drawn=drawn: connection.execute(sql, drawn))  # type: ignore[misc]  # a lambda's default
            except psycopg.errors.UniqueViolation:
                continue
            return

    async def _fetch(self, device_ids: Sequence[DeviceId]) -> dict[DeviceId, DeviceRecord]:
        found = {}
        records = await self._read(device_ids)
        while any(record.model not in self._models for record in records):
            # Registered together a moment ago: nobody may meet the device before its model. And what is kept is what
            # was read last, or a change that came meanwhile would never be told.
            await self._load_models()
            records = await self._read(device_ids)
        for record in records:
            found[record.device_id] = record
            self._unknown_until_s.pop(record.device_id, None)
            self._records.keep(record.device_id, record)
            if record.boot:
                self._issued.keep((record.device_no, record.boot), None)
        return found

    async def _read(self, device_ids: Sequence[DeviceId]) -> list[DeviceRecord]:
        return [device_record(row) for row in await self._link.rows(_LOAD, (list(device_ids),))]

    async def _load_models(self) -> None:
        self._models = {row[0]: device_model(row) for row in await self._link.rows(_MODELS, ())}
