"""The live states of every device and the feed of their changes, in Redis."""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from itertools import islice

import hiredis
import msgspec

from firmware_protocol.messages import DeviceId
from gateway.core.feed import FeedEntry
from gateway.core.live_state import LiveState
from gateway.ports import FeedEpochLost, ShardSteps, StatePage, StatesUnreadable, StoreUnavailable
from gateway.stores.redis_link import Argument, Command, RedisLink, Reply, no_error, packed_command

FEED_SILENT_MS = 5_000
"""A third of what readers bear: one beat may be late, and another lost with a connection."""

FEED_KEEPS_MS = 120_000
"""Twice as long as a reader may take to fill its view."""

PAGE_SIZE = 500
"""States per step of a walk: about a millisecond of Redis."""

REBUILD_CHUNK = 500

REBUILD_EXPIRES_S = 600
"""A rebuild that was broken off leaves its half nowhere for long."""

LOST = -1
"""What a script answers when the epoch is not the expected one, or rebuilt states are not there any more."""

BEGUN_ALREADY = 0
"""What the script answers when there is an epoch where none was."""

_REVISION_BYTES = 8
_revision = struct.Struct(">Q").pack
_SCRIPTS = resources.files(__package__).joinpath("lua")
_ADVANCE, _BEAT, _BEGIN, _GIVE_UP = (
    _SCRIPTS.joinpath(f"{name}.lua").read_text(encoding="utf-8")
    for name in ("advance", "beat", "begin", "give_up")
)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(LiveState).decode


class ShardKeys:
    """The keys of one shard; they share a hash tag, so that a script may use them together on a cluster."""

    __slots__ = ("count", "epoch", "feed", "live", "run", "tag")

    def __init__(self, shard: int) -> None:
        self.tag = f"lk:{{{shard:02x}}}"
        self.live = f"{self.tag}:live"
        self.epoch = f"{self.tag}:epoch"
        self.count = f"{self.tag}:count"
        self.feed = f"{self.tag}:feed"
        self.run = f"{self.tag}:run"
        """The run id of the server the epoch was begun on: a restored copy of the data is not to be trusted."""


class RedisLiveStates:
    """Implements `ports.LiveStates`."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._advance_digest = link.add_script(_ADVANCE)
        self._beat_digest = link.add_script(_BEAT)
        self._begin_digest = link.add_script(_BEGIN)
        self._give_up_digest = link.add_script(_GIVE_UP)
        self._keys: dict[int, ShardKeys] = {}
        self._run_of: dict[int, str] = {}
        """The server life in which this process last found or began the shard's epoch."""

    async def epoch(self, shard: int) -> str | None:
        """The shard's feed epoch, or None when there is none or Redis changed its run id."""
        keys = self._keys_of(shard)
        run_id = await self._link.ready()
        (reply,) = await self._link.execute([("MGET", keys.epoch, keys.run)])
        epoch, run = _pair(reply)
        if epoch is None or run is None or run.decode() != run_id:
            return None
        self._run_of[shard] = run_id
        return epoch.decode()

    async def rebuild(self, shard: int, epoch: str, states: Mapping[DeviceId, LiveState]) -> None:
        """Replaces the states of a lost shard and starts the epoch, atomically for readers. Raises StoreUnavailable,
        and changes nothing, where the shard has an epoch: another rebuilt it meanwhile."""
        keys = self._keys_of(shard)
        run_id = await self._link.ready()
        fresh = f"{keys.tag}:fresh:{epoch}"
        for chunk in _chunks(states.items(), REBUILD_CHUNK):
            values = [part for device_id, state in chunk for part in (device_id, pack_state(state))]
            filling: list[Command] = [("HSET", fresh, *values), ("EXPIRE", fresh, REBUILD_EXPIRES_S)]
            for reply in await self._link.execute(filling):
                no_error(reply)
        places = (keys.epoch, keys.run, keys.count, keys.feed, keys.live, fresh)
        begin = ("EVALSHA", self._begin_digest, len(places), *places, epoch, run_id, len(states))
        (reply,) = await self._run_harmless([begin])
        if no_error(reply) == BEGUN_ALREADY:
            raise StoreUnavailable(f"Redis: shard {shard:02x} was rebuilt by another meanwhile")
        if reply == LOST:
            raise StoreUnavailable(f"Redis: shard {shard:02x} was lost again while it was rebuilt")
        self._run_of[shard] = run_id

    async def give_up(self, shard: int, epoch: str) -> None:
        """Takes the shard for lost, if this epoch still stands. Raises StoreUnavailable."""
        call = ("EVALSHA", self._give_up_digest, 1, self._keys_of(shard).epoch, epoch)
        (reply,) = await self._run_harmless([call])
        no_error(reply)

    async def load(self, by_shard: Mapping[int, Sequence[DeviceId]]) -> Mapping[DeviceId, LiveState]:
        """Absent devices are missing in the answer. Raises StatesUnreadable, StoreUnavailable."""
        asked = [(shard, device_ids) for shard, device_ids in by_shard.items() if device_ids]
        commands: list[Command] = [("HMGET", self._keys_of(shard).live, *ids) for shard, ids in asked]
        found: dict[DeviceId, LiveState] = {}
        unreadable: set[int] = set()
        for (shard, device_ids), reply in zip(asked, await self._link.execute(commands), strict=True):
            for device_id, value in zip(device_ids, _list(no_error(reply)), strict=True):
                if isinstance(value, bytes):
                    try:
                        found[device_id] = unpack_state(value)
                    except StoreUnavailable:
                        unreadable.add(shard)
        if unreadable:
            raise StatesUnreadable(frozenset(unreadable))
        return found

    async def page(self, shard: int, cursor: int = 0) -> StatePage:
        """Some hundreds of states; a whole walk gives each that stood all along at least once.
        Raises StatesUnreadable, StoreUnavailable."""
        following, values = await scan(self._link, self._keys_of(shard), cursor)
        try:
            return StatePage(following, {device_id: unpack_state(value) for device_id, value in values})
        except StoreUnavailable as error:
            raise StatesUnreadable(frozenset((shard,))) from error

    def pack(self, part: ShardSteps) -> ShardSteps:
        """The same with its command, ready to be sent."""
        return ShardSteps(part.shard, part.epoch, part.steps, packed_command(self._call(part)))

    async def advance(self, shards: Sequence[ShardSteps]) -> frozenset[DeviceId]:
        """Applies every step whose before_revision still matches, and appends its change to the
        feed in the same script. Returns the devices that did not match.
        Raises FeedEpochLost, StoreUnavailable."""
        run_id = await self._link.ready()
        for part in shards:
            if self._run_of.get(part.shard) != run_id:
                raise FeedEpochLost(part.shard)
        packed = [part.packed or packed_command(self._call(part)) for part in shards]
        replies = await self._link.send(packed)
        unknown = [index for index, reply in enumerate(replies) if _is_unknown_script(reply)]
        if unknown:
            # A script the server does not know has not run: only these may be sent again.
            await self._link.load_scripts()
            if await self._link.ready() != run_id:
                raise FeedEpochLost(shards[unknown[0]].shard)
            again = await self._link.send([packed[index] for index in unknown])
            for index, reply in zip(unknown, again, strict=True):
                replies[index] = reply
        return _mismatched(shards, replies)

    async def beat(self, epochs: Mapping[int, str]) -> None:
        """Lets readers hear of shards that had no change for a while. Raises FeedEpochLost, StoreUnavailable."""
        calls: list[Command] = []
        for shard, epoch in epochs.items():
            keys = self._keys_of(shard)
            told = (keys.epoch, keys.count, keys.feed, epoch, FEED_KEEPS_MS, FEED_SILENT_MS)
            calls.append(("EVALSHA", self._beat_digest, 3, *told))
        for shard, reply in zip(epochs, await self._run_harmless(calls), strict=True):
            if no_error(reply) == LOST:
                raise FeedEpochLost(shard)

    async def _run_harmless(self, calls: Sequence[Command]) -> list[Reply]:
        """Scripts that may run twice: those the server does not know are loaded, and all are called again."""
        replies = await self._link.execute(calls)
        if any(_is_unknown_script(reply) for reply in replies):
            await self._link.load_scripts()
            replies = await self._link.execute(calls)
        return replies

    def _call(self, part: ShardSteps) -> Command:
        keys = self._keys_of(part.shard)
        arguments: list[Argument] = [
            "EVALSHA",
            self._advance_digest,
            4,
            keys.epoch,
            keys.count,
            keys.live,
            keys.feed,
            part.epoch,
            FEED_KEEPS_MS,
        ]
        for step in part.steps:
            device_id, after = step.device_id, step.after
            arguments += (
                device_id,
                _revision(step.before_revision),
                _revision(after.revision) + _encode(after),
                _encode(FeedEntry(device_id, after.revision, after.entry)) if step.announce else b"",
            )
        return tuple(arguments)

    def _keys_of(self, shard: int) -> ShardKeys:
        keys = self._keys.get(shard)
        if keys is None:
            keys = self._keys[shard] = ShardKeys(shard)
        return keys


def pack_state(state: LiveState) -> bytes:
    """The revision first, so that the script can compare without decoding."""
    return _revision(state.revision) + _encode(state)


def unpack_state(value: bytes) -> LiveState:
    """Raises StoreUnavailable for a value this version cannot read."""
    try:
        return _decode(memoryview(value)[_REVISION_BYTES:])
    except ValueError as error:
        # msgspec's own errors, and those of a text that is none.
        raise StoreUnavailable(f"Redis: a live state of another version: {error}") from error


async def scan(link: RedisLink, keys: ShardKeys, cursor: int) -> tuple[int, list[tuple[DeviceId, bytes]]]:
    """One step of a walk over a shard's live states: the next cursor, 0 at the end, and packed states.
    Raises StoreUnavailable."""
    (reply,) = await link.execute([("HSCAN", keys.live, cursor, "COUNT", PAGE_SIZE)])
    following, flat = _list(no_error(reply))
    values = _list(flat)
    if not isinstance(following, bytes):
        raise StoreUnavailable("Redis: HSCAN answered without a cursor")
    pairs = zip(values[::2], values[1::2], strict=True)
    return int(following), [
        (DeviceId(device_id.decode()), value)
        for device_id, value in pairs
        if isinstance(device_id, bytes) and isinstance(value, bytes)
    ]


def _mismatched(shards: Sequence[ShardSteps], replies: Sequence[Reply]) -> frozenset[DeviceId]:
    mismatched: list[DeviceId] = []
    for part, reply in zip(shards, replies, strict=True):
        if reply == LOST:
            raise FeedEpochLost(part.shard)
        indexes = _list(no_error(reply))
        if indexes:
            mismatched += [part.steps[index].device_id for index in indexes if isinstance(index, int)]
    return frozenset(mismatched)


def _is_unknown_script(reply: Reply) -> bool:
    return isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT")


def _list(reply: Reply) -> list[Reply]:
    if not isinstance(reply, list):
        raise StoreUnavailable("Redis: answered something else than was asked")
    return reply


def _pair(reply: Reply) -> tuple[bytes | None, bytes | None]:
    first, second = _list(no_error(reply))
    return first if isinstance(first, bytes) else None, second if isinstance(second, bytes) else None


def _chunks(
    items: Iterable[tuple[DeviceId, LiveState]], size: int
) -> Iterator[list[tuple[DeviceId, LiveState]]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
