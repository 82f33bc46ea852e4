"""Buckets in memory are bounded, and follow the clock they are given."""

import pytest

from gateway import rates
from gateway.rates import Bucket, LocalRateLimits


async def test_a_bucket_follows_the_clock() -> None:
    now_s = 0.0
    limits = LocalRateLimits(lambda: now_s)
    one = Bucket("one", 1, 0.5)
    assert await limits.take([one]) == 0
    assert await limits.take([one]) == 2001
    now_s = 2.1
    assert await limits.take([one]) == 0


async def test_it_keeps_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_LOCAL_BUCKETS", 3)
    limits = LocalRateLimits(lambda: 0.0)
    for number in range(10):
        assert await limits.take([Bucket(str(number), 1, 1)]) == 0
    assert await limits.take([Bucket("9", 1, 1)]) > 0
    assert await limits.take([Bucket("0", 1, 1)]) == 0
