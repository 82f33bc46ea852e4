"""Follows the feed of all shards and says how long after it was due each change stood in it."""

import json
import sys
import threading
import time
from argparse import ArgumentParser
from typing import Any, cast

import msgspec
import redis

from bench.result import percentile
from firmware_protocol.topics import SHARDS
from gateway.core.feed import FeedEntry

_entries = msgspec.msgpack.Decoder(list[FeedEntry])


def follow(url: str, stop: threading.Event) -> list[float]:
    """Milliseconds from the row time of each announced report to its reading, until told to stop."""
    lags_ms: list[float] = []
    with redis.Redis.from_url(url) as client:
        positions: dict[Any, Any] = {f"lk:{{{shard:02x}}}:feed": "$" for shard in range(SHARDS)}
        while not stop.is_set():
            streams = cast("list[Any]", client.xread(positions, block=200, count=1000))
            now_ms = time.time_ns() / 1e6
            for key, parts in streams:
                positions[key.decode()] = parts[-1][0]
                for _, fields in parts:
                    entries = _entries.decode(fields[b"b"])
                    lags_ms.extend(now_ms - one.entry.at_ms for one in entries if one.entry is not None)
    return lags_ms


def main() -> None:
    """Prints READY; when stdin says so, one JSON line with the count and the percentiles."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("redis_url")
    url = parser.parse_args().redis_url
    stop = threading.Event()
    found: list[float] = []
    thread = threading.Thread(target=lambda: found.extend(follow(url, stop)))
    thread.start()
    print("READY", flush=True)
    sys.stdin.readline()
    stop.set()
    thread.join()
    found.sort()
    said = {"count": len(found), **{f"p{p}_ms": percentile(found, p / 100) for p in (50, 99)}}
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
