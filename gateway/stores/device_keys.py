"""The keys of devices, unwrapped and in memory for as long as nobody changes them."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from msgspec import Struct

from firmware_protocol.device_key import DeviceKey
from gateway import telemetry
from gateway.key_wrapping import CannotUnwrap, KeyWrapping, Wrapped
from gateway.ports import Clock, StoreUnavailable
from gateway.stores.bounded import Bounded
from gateway.stores.postgres_link import PostgresLink

MAX_DEVICES = 250_000
"""As many as the registry keeps."""

POLL_S = 2.0
"""A change is known within this and one round trip even where its notice was lost."""

OVERLAP = timedelta(seconds=15)
"""A change is looked for this long after it was made: longer than any transaction that makes one."""

FORGET_ALL = 2_000
"""More devices with new keys than this are an import: reading all again is cheaper than naming them."""

_LOAD = b"""
    select device_no, key_no, wrapped_by, wrapped, (extract(epoch from ends_at) * 1000)::bigint
    from device_key where device_no = any(%s) and (ends_at is null or ends_at > clock_timestamp())
    order by device_no, key_no desc
"""
_NOW = b"select clock_timestamp()"
# A transaction's rows appear all at once, so keys read after one was heard of need not be read again.
_CHANGING = b"select distinct xmin::text::bigint from device_key where changed_at > %s"
_CHANGED = b"""
    select distinct device_no from device_key
    where changed_at > %s and xmin::text::bigint = any(%s) limit %s
"""
_WRAPPINGS = b"select wrapped_by, count(*) from device_key group by wrapped_by order by wrapped_by"

log = telemetry.logger()


class _Held(Struct, frozen=True, gc=False):
    """One key of one device, and until when it is good."""

    key: DeviceKey
    ends_ms: int | None


class PostgresDeviceKeys:
    """command_ports.DeviceKeys on one connection of its own."""

    def __init__(self, dsn: str, wrapping: KeyWrapping, clock: Clock) -> None:
        self._link = PostgresLink(dsn, name="device-keys")
        self._wrapping = wrapping
        self._clock = clock
        self._held: Bounded[int, tuple[_Held, ...]] = Bounded(MAX_DEVICES)
        """Empty for a device that has none."""
        self._looked_at: datetime | None = None
        self._heard: frozenset[int] = frozenset()
        """Transactions of the last look: what they changed is forgotten, or was read after them."""
        self._changes = 0
        """Counts the looks that found something: what was read before one may be old."""

    async def close(self) -> None:
        """Closes the connection."""
        await self._link.close()

    async def load(self, device_nos: Sequence[int]) -> Mapping[int, Sequence[DeviceKey]]:
        """Newest first; the first signs, all verify. Devices without a key are missing. Raises StoreUnavailable."""
        wanted = dict.fromkeys(device_nos)
        missing = [device_no for device_no in wanted if device_no not in self._held]
        fetched = await self._fetch(missing) if missing else {}
        now_ms = self._clock.now_ms()
        answer = {}
        for device_no in wanted:
            held = fetched[device_no] if device_no in fetched else self._held.get(device_no, ())
            good = [one.key for one in held if one.ends_ms is None or one.ends_ms > now_ms]
            if good:
                answer[device_no] = good
        return answer

    async def unknown_wrappings(self) -> Mapping[str, int]:
        """How many keys are sealed by key-encryption keys that this process was not given. Raises StoreUnavailable."""
        rows = await self._link.rows(_WRAPPINGS, ())
        return {by: count for by, count in rows if by not in self._wrapping.keys}

    async def follow_changes(self) -> None:
        """Runs until cancelled. A notice makes it faster by calling `refresh`."""
        while True:
            # While PostgreSQL is away nobody changes a key; the next look reaches back to the last good one.
            with suppress(StoreUnavailable):
                await self.refresh()
            await asyncio.sleep(POLL_S)

    async def refresh(self) -> None:
        """Forgets the keys of devices whose keys changed. Raises StoreUnavailable."""
        ((now,),) = await self._link.rows(_NOW, ())
        since = (self._looked_at or now) - OVERLAP
        changing = frozenset(row[0] for row in await self._link.rows(_CHANGING, (since,)))
        unheard = list(changing - self._heard)
        changed = await self._link.rows(_CHANGED, (since, unheard, FORGET_ALL)) if unheard else []
        # What was read before the first look may have changed at any time since.
        is_first = self._looked_at is None
        self._looked_at, self._heard = now, changing
        self._changes += bool(changed) or is_first
        if len(changed) == FORGET_ALL or is_first:
            self._held.clear()
        for (device_no,) in changed:
            self._held.pop(device_no, None)

    async def _fetch(self, device_nos: Sequence[int]) -> dict[int, tuple[_Held, ...]]:
        before = self._changes
        found: dict[int, tuple[_Held, ...]] = dict.fromkeys(device_nos, ())
        for device_no, key_no, by, sealed, ends_ms in await self._link.rows(_LOAD, (list(device_nos),)):
            try:
                key = self._wrapping.unwrap(Wrapped(by, sealed), device_no=device_no, key_no=key_no)
            except CannotUnwrap as error:
                # That device gets no commands; the others of the batch do.
                log.error("device_key_unreadable", reason=str(error))
                continue
            found[device_no] = (*found[device_no], _Held(key, ends_ms))
        if self._changes == before:
            for device_no, held in found.items():
                self._held.keep(device_no, held)
        return found
