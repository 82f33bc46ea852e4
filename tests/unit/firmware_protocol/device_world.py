"""One device, one gateway, and a network between them that loses, doubles, delays and reorders until it heals."""

import heapq
from collections.abc import Sequence
from random import Random

from firmware_protocol import codec, topics
from firmware_protocol.codec import Encoding
from firmware_protocol.device_session import DeviceSession, Identity
from firmware_protocol.effects import Connect, Effect, Publish, Subscribe
from firmware_protocol.messages import DeviceId, Receipt, Report, ReportStamp, Welcome
from firmware_protocol.numbering import stamp_of

DEVICE = DeviceId("bike-000123")
EPOCH_S = 1_790_000_000


class Gateway:
    """What the other end does: boots by power-on id, receipts for what it committed, one frame per stamp."""

    def __init__(self) -> None:
        self.boots: dict[int, int] = {}
        self.frames: dict[ReportStamp, bytes] = {}
        self.kept: set[ReportStamp] = set()

    def hear(self, publish: Publish, now_ms: int) -> tuple[str, bytes] | None:
        if publish.topic == topics.hello_topic(DEVICE):
            hello = codec.decode_hello(publish.payload)
            power_on_id = hello.power_on_id
            newest = max(self.boots.values(), default=0)
            boot = self.boots.setdefault(power_on_id, max(newest + 1, EPOCH_S + now_ms // 1000))
            welcome = Welcome(power_on_id, boot, EPOCH_S * 1000 + now_ms, hello.hello_sent_ms)
            return topics.welcome_topic(DEVICE), codec.encode_welcome(welcome, encoding=Encoding.CBOR)
        report = codec.decode_report(publish.payload)
        stamp = stamp_of(report)
        assert report.boot in self.boots.values(), "a boot number that was never given"
        assert self.frames.setdefault(stamp, publish.payload) == publish.payload, "a stamp changed"
        if not report.keep:
            return None
        self.kept.add(stamp)
        receipt = codec.encode_receipt(Receipt((stamp,)), encoding=Encoding.JSON)
        return topics.receipt_topic(DEVICE), receipt


class World:
    """One device, one gateway, and a network that loses, doubles, delays and reorders until it heals."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.gateway = Gateway()
        self.session = DeviceSession(Identity(DEVICE, "bike-x1", "1.0"), Random(chance.random()))
        self.now_ms = 0
        self.hostile = True
        self.linked = False
        self.in_flight: list[tuple[int, int, bool, Publish]] = []
        self.sent = 0
        self.made_kept = 0

    def send(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Publish():
                    assert self.linked, "published without a link"
                    self.travel(effect, upward=True)
                case Connect():
                    self.connect()
                case Subscribe():
                    assert topics.welcome_topic(DEVICE) in effect.topics

    def connect(self) -> None:
        if self.hostile and self.chance.random() < 0.3:
            self.session.disconnected(self.now_ms)
            return
        self.linked = True
        self.send(self.session.connected(self.now_ms))

    def travel(self, publish: Publish, *, upward: bool) -> None:
        copies = self.chance.choice((0, 0, 1, 1, 1, 2)) if self.hostile else 1
        for _ in range(copies):
            delay_ms = self.chance.randrange(90_000) if self.hostile else 20
            self.sent += 1
            heapq.heappush(self.in_flight, (self.now_ms + delay_ms, self.sent, upward, publish))

    def make_report(self, *, keep: bool) -> None:
        self.made_kept += keep
        self.send(self.session.report(Report(keep=keep, battery_pct=self.chance.randrange(101)), self.now_ms))

    def run(self, until_ms: int) -> None:
        while True:
            wake_ms = self.session.next_wakeup_ms()
            arrival_ms = self.in_flight[0][0] if self.in_flight else None
            times = [time for time in (wake_ms, arrival_ms) if time is not None]
            if not times or min(times) > until_ms:
                break
            self.now_ms = max(self.now_ms, min(times))
            if arrival_ms is not None and arrival_ms <= self.now_ms:
                self.arrive()
            else:
                self.send(self.session.woken(self.now_ms))
        self.now_ms = until_ms

    def arrive(self) -> None:
        _, _, upward, publish = heapq.heappop(self.in_flight)
        if upward:
            answer = self.gateway.hear(publish, self.now_ms)
            if answer is not None:
                self.travel(Publish(*answer, 0), upward=False)
            return
        before = self.session.unreceipted
        effects = self.session.received(publish.topic, publish.payload, self.now_ms)
        if publish.topic == topics.receipt_topic(DEVICE):
            assert before - self.session.unreceipted in (0, 1)
        else:
            assert self.session.unreceipted == before, "forgotten without a receipt"
        self.send(effects)

    def break_link(self) -> None:
        if self.linked:
            self.linked = False
            self.session.disconnected(self.now_ms)
