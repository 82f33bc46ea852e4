"""The feed's values speak for themselves."""

import msgspec

from firmware_protocol.messages import DeviceId
from gateway.core.feed import FeedEntry, FeedGap
from tests.support.fakes.samples import entry


def test_a_gap_names_its_shards() -> None:
    gap = FeedGap(frozenset({11, 7}))
    assert gap.shards == {7, 11}
    assert str(gap).endswith("07, 0b")


def test_an_entry_survives_the_feed() -> None:
    one = FeedEntry(DeviceId("bike-a"), 2**40, entry(DeviceId("bike-a")))
    gone = FeedEntry(DeviceId("bike-a"), 1, None)
    for said in (one, gone):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(said), type=FeedEntry) == said
