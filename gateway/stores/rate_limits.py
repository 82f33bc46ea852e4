"""Token buckets that all API processes share, in Redis."""

from collections.abc import Sequence
from importlib import resources

import hiredis

from gateway.ports import StoreUnavailable
from gateway.rates import Bucket
from gateway.stores.redis_link import Argument, RedisLink, no_error

_TAKE = resources.files(__package__).joinpath("lua/take_tokens.lua").read_text(encoding="utf-8")


class RedisRateLimits:
    """One script per question; a bucket is a small hash that Redis forgets once it would be full again."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._take = link.add_script(_TAKE)

    async def take(self, buckets: Sequence[Bucket]) -> int:
        """Takes one token out of each; 0, or the milliseconds until all could give one. Raises StoreUnavailable."""
        call: list[Argument] = ["EVALSHA", self._take, len(buckets)]
        call += [f"lk:rate:{bucket.name}" for bucket in buckets]
        for bucket in buckets:
            call += [repr(bucket.capacity), repr(bucket.per_s)]
        (reply,) = await self._link.execute([tuple(call)])
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT"):
            await self._link.load_scripts()
            (reply,) = await self._link.execute([tuple(call)])
        waited = no_error(reply)
        if not isinstance(waited, int):
            raise StoreUnavailable("Redis: a rate limit is no number")
        return waited
