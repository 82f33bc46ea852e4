"""The reading side of the feed of changes, in Redis."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from gateway.core.feed import FeedEntry, FeedGap, FeedPart, FeedPosition, FillPage
from gateway.ports import FeedEpochLost, StoreUnavailable
from gateway.stores.live_states import ShardKeys, scan, unpack_state
from gateway.stores.redis_link import Command, RedisLink, Reply, no_error

READ_AT_ONCE = 100
"""Stream entries per shard and read; each holds the changes of one batch."""

FIRST_ID = "0-0"

_decode_entries = msgspec.msgpack.Decoder(list[FeedEntry]).decode


class _Written(Struct, frozen=True):
    """One entry of a shard's stream."""

    stream_id: str
    epoch: str
    first: int
    count: int
    packed: bytes


class RedisChangeFeed:
    """Implements `feed_port.ChangeFeed`. Takes a link of its own: a read that waits holds up all behind it."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def position(self, shard: int) -> FeedPosition:
        """Where the feed stands. Raises FeedEpochLost (no epoch yet, or none any more), StoreUnavailable."""
        keys = ShardKeys(shard)
        # In one step: a count and an id from different moments would look like a gap.
        replies = await self._link.execute(
            [
                ("MULTI",),
                ("MGET", keys.epoch, keys.count),
                ("XREVRANGE", keys.feed, "+", "-", "COUNT", 1),
                ("EXEC",),
            ]
        )
        standing, newest = _items(no_error(replies[-1]), 2)
        epoch, count = _items(standing, 2)
        if not isinstance(epoch, bytes) or not isinstance(count, bytes):
            raise FeedEpochLost(shard)
        entries = _items(newest)
        stream_id = _text(_items(entries[0], 2)[0]) if entries else FIRST_ID
        return FeedPosition(epoch.decode(), int(count), stream_id)

    async def fill(self, shard: int, cursor: int = 0) -> FillPage:
        """Some hundreds of devices. Raises StoreUnavailable."""
        following, values = await scan(self._link, ShardKeys(shard), cursor)
        states = [(device_id, unpack_state(value)) for device_id, value in values]
        return FillPage(following, [FeedEntry(d, state.revision, state.entry) for d, state in states])

    async def follow(self, positions: Mapping[int, FeedPosition], wait_ms: int) -> Sequence[FeedPart]:
        """Waits for the first change after any of the positions, at most `wait_ms`; empty then.
        Raises FeedGap (nothing of that answer counts), StoreUnavailable."""
        if not positions:
            return []
        shards = {ShardKeys(shard).feed: shard for shard in positions}
        ids = [position.stream_id for position in positions.values()]
        # The epochs are asked for after every read: a server that came back with another clock may write
        # stream ids below those we wait for, and would otherwise never be heard again.
        epochs: Command = ("MGET", *(ShardKeys(shard).epoch for shard in positions))
        read: Command = ("XREAD", "COUNT", READ_AT_ONCE, "BLOCK", max(1, wait_ms), "STREAMS", *shards, *ids)
        streams, standing = await self._link.execute([read, epochs], extra_s=wait_ms / 1000)
        gaps = _epochs_gone(positions, no_error(standing))
        parts: list[FeedPart] = []
        for stream in _items(no_error(streams) or []):
            name, entries = _items(stream, 2)
            shard = shards[_text(name)]
            part = _follow_shard(shard, positions[shard], [_written(entry) for entry in _items(entries)])
            if part is None:
                gaps.add(shard)
            else:
                parts.append(part)
        if gaps:
            raise FeedGap(frozenset(gaps))
        return parts


def _follow_shard(shard: int, position: FeedPosition, written: Sequence[_Written]) -> FeedPart | None:
    """None when something is missing between the position and what was written."""
    counter = position.counter
    changes: list[FeedEntry] = []
    for one in written:
        if one.epoch != position.epoch or one.first != counter + 1:
            return None
        counter += one.count
        changes.extend(_decode_entries(one.packed))
    stream_id = written[-1].stream_id if written else position.stream_id
    return FeedPart(shard, FeedPosition(position.epoch, counter, stream_id), changes)


def _epochs_gone(positions: Mapping[int, FeedPosition], standing: Reply) -> set[int]:
    epochs = _items(standing, len(positions))
    return {
        shard
        for (shard, position), epoch in zip(positions.items(), epochs, strict=True)
        if epoch != position.epoch.encode()
    }


def _written(entry: Reply) -> _Written:
    stream_id, flat = _items(entry, 2)
    values = _items(flat)
    fields = {_text(name): value for name, value in zip(values[::2], values[1::2], strict=True)}
    packed = fields.get("b")
    if not isinstance(packed, bytes):
        raise StoreUnavailable("Redis: a feed entry of another version")
    return _Written(
        stream_id=_text(stream_id),
        epoch=_text(fields.get("e")),
        first=int(_text(fields.get("n"))),
        count=int(_text(fields.get("k"))),
        packed=packed,
    )


def _items(reply: Reply, count: int | None = None) -> list[Reply]:
    if not isinstance(reply, list) or (count is not None and len(reply) != count):
        raise StoreUnavailable("Redis: answered something else than was asked")
    return reply


def _text(reply: Reply) -> str:
    if not isinstance(reply, bytes):
        raise StoreUnavailable("Redis: answered something else than was asked")
    return reply.decode()
