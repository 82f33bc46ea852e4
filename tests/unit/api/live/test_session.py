"""What a map client holds equals the server's view, whatever happened on the way."""

from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.json import decode, encode

from api.live import session as session_module
from api.live.fleet_view import MAX_DEVICES_IN_VIEW, FleetView
from api.live.map_device import map_device_json
from api.live.session import FRAMES_AT_ONCE, MAX_REFUSED, LiveSession, SharedView, Viewer
from api.live.watches import Watches
from gateway.core.live_state import MapEntry
from tests.unit.api.live.entries import entries, entry
from tests.unit.api.live.map_client import MapClient

STAFF = Viewer(1, is_rider=False)


@pytest.fixture
def small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "MAX_DEVICES_PER_FRAME", 2)


class World:
    def __init__(self) -> None:
        self.stale = False
        self.view = FleetView()
        self.watches = Watches()
        self.shared = SharedView(self.view, self.watches, "life", lambda: self.stale)

    def apply(self, number: int, after: MapEntry | None) -> None:
        change = self.view.apply(entry(number).device_id, after)
        if change is not None:
            self.watches.tell(change)


watch_frames = st.fixed_dictionaries(
    {
        "type": st.just("watch"),
        "box": st.sampled_from(
            [
                [-0.05, -0.05, 0.05, 0.05],
                [0.0, 0.0, 0.03, 0.03],
                [-0.02, -0.04, 0.04, 0.01],
                [179.97, -0.05, 180.03, 0.05],
                [-180.0, -0.05, -179.97, 0.05],
                [-190.0, -80.0, 190.0, 80.0],
            ]
        ),
        "kinds": st.lists(st.sampled_from(["bike", "cabinet", "locker"]), max_size=2),
        "availability": st.sampled_from(["available", "any", "any"]),
        "min_battery_pct": st.sampled_from([0, 0, 30]),
    }
)


class LiveMap(RuleBasedStateMachine):
    """Pans, moves, eligibility, rotated ids, slow reading, disconnects, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.now_s = 0.0
        self.watch_id = 0
        self.session = LiveSession(self.world.shared, now_s=0.0, viewer=STAFF)
        self.client = MapClient()
        self.asked: dict[str, Any] | None = None

    @precondition(lambda self: bool(self.watch_id % 5 == 4))
    @rule()
    def connect(self) -> None:
        self.session.close()
        self.session = LiveSession(self.world.shared, now_s=self.now_s, viewer=STAFF)
        self.client = MapClient()
        self.asked = None

    @initialize(frame=watch_frames, fleet=st.lists(entries(), min_size=10, max_size=20))
    def begin_in_the_middle(self, frame: dict[str, Any], fleet: list[MapEntry]) -> None:
        self.devices_change(fleet)
        self.pan(frame)

    @rule(changes=st.lists(entries(), min_size=1, max_size=8))
    def devices_change(self, changes: list[MapEntry]) -> None:
        for after in changes:
            self.world.apply(int(after.device_id[1:]), after)

    @rule(number=st.integers(0, 7))
    def device_leaves_the_map(self, number: int) -> None:
        self.world.apply(number, None)

    @rule(frame=watch_frames)
    def pan(self, frame: dict[str, Any]) -> None:
        self.watch_id += 1
        self.now_s += 1.0
        self.asked = {**frame, "id": self.watch_id}
        self.session.receive(encode(self.asked), now_s=self.now_s)

    @precondition(lambda self: self.asked is not None and self.watch_id % 4 == 0)
    @rule()
    def look_away(self) -> None:
        self.asked = None
        self.client.devices = {}
        self.session.receive(b'{"type":"unwatch"}', now_s=self.now_s)

    @rule(frame=st.sampled_from([b"{", b'{"type":"watch","id":0,"box":[0,9,1,1]}', b"\x00"]))
    def talk_nonsense(self, frame: bytes) -> None:
        self.now_s += 1.0
        self.session.receive(frame, now_s=self.now_s)

    @rule(stale=st.booleans())
    def feed_breaks_or_mends(self, stale: bool) -> None:
        self.world.stale = stale

    @rule()
    def client_reads_one_frame(self) -> None:
        frame = self.session.next_frame()
        if frame is not None:
            self.client.take(frame)

    @rule()
    def quiet(self) -> None:
        while self.session.has_pending:
            frame = self.session.next_frame()
            assert frame is not None
            self.client.take(frame)
        assert self.client.devices == self._truth()
        if self.asked is not None:
            assert self.client.stale == self.world.stale
            assert self.client.watch == self.watch_id

    @invariant()
    def what_waits_is_bounded_by_what_is_and_was_in_view(self) -> None:
        assert self.session.pending_devices <= 16 + len(self.client.devices)

    def teardown(self) -> None:
        self.quiet()
        self.session.close()
        assert len(self.world.watches) == 0

    def _truth(self) -> dict[str, Any]:
        if self.asked is None:
            return {}
        return {
            one.public_id: decode(map_device_json(one)) for one in self.world.view if self._is_asked_for(one)
        }

    def _is_asked_for(self, one: MapEntry) -> bool:
        assert self.asked is not None
        west, south, east, north = (round(edge * 1e7) for edge in self.asked["box"])
        beyond = one.lon_e7 < west and east > 1_800_000_000
        turned = one.lon_e7 + (3_600_000_000 if beyond else 0)
        in_box = south <= one.lat_e7 <= north and (east - west >= 3_600_000_000 or west <= turned <= east)
        name = {1: "bike", 2: "cabinet", 3: "locker"}[one.kind]
        kind_fits = not self.asked["kinds"] or name in self.asked["kinds"]
        charge_fits = name != "bike" or (one.battery_pct or 0) >= self.asked["min_battery_pct"]
        return in_box and kind_fits and charge_fits and (one.available or self.asked["availability"] == "any")


TestLiveMap = LiveMap.TestCase
TestLiveMap.settings = settings(
    # A failing walk is short enough to read; making it shorter takes minutes.
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
TestLiveMap = pytest.mark.usefixtures("small_frames")(TestLiveMap)

HERE = [121.4, 31.2, 121.5, 31.3]


def _open(world: World, viewer: Viewer | None = STAFF) -> LiveSession:
    return LiveSession(world.shared, now_s=0.0, viewer=viewer)


def _watch(session: LiveSession, watch_id: int = 1, **more: Any) -> None:
    session.receive(encode({"type": "watch", "id": watch_id, "box": HERE, **more}), now_s=0.0)


def test_a_device_that_becomes_unavailable_vanishes_and_staff_see_why() -> None:
    world = World()
    world.apply(1, entry(1))
    rider, staff = _open(world), _open(world)
    _watch(rider)
    _watch(staff, availability="any")
    for session in (rider, staff):
        assert decode(session.next_frame() or b"")["count"] == 1
    world.apply(1, entry(1, available=False))
    assert decode(rider.next_frame() or b"")["vanished"] == ["p1"]
    told = decode(staff.next_frame() or b"")
    assert told["moved"][0]["reasons"][0]["reason"] == "low_battery"


def test_a_large_snapshot_comes_in_frames_that_say_there_is_more() -> None:
    world, client = World(), MapClient()
    for number in range(250):
        world.apply(number, entry(number))
    session = _open(world)
    _watch(session)
    frames = [session.next_frame() for _ in range(3)]
    assert [decode(frame or b"")["more"] for frame in frames] == [True, True, False]
    for frame in frames:
        assert frame is not None
        assert len(frame) < 32 * 1024
        client.take(frame)
    assert len(client.devices) == 250
    assert session.next_frame() is None


def test_too_many_devices_are_refused_and_the_watch_before_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    session = _open(world)
    _watch(session, 1)
    assert session.next_frame() is not None
    for number in range(3):
        world.apply(number, entry(number, lat_e7=0, lon_e7=0))
    monkeypatch.setattr("api.live.fleet_view.MAX_DEVICES_IN_VIEW", 2)
    session.receive(b'{"type":"watch","id":2,"box":[-1,-1,1,1]}', now_s=0.0)
    refused = decode(session.next_frame() or b"")
    assert (refused["type"], refused["id"], refused["reason"]) == ("refused", 2, "too_many_devices")
    world.apply(9, entry(9))
    assert decode(session.next_frame() or b"")["id"] == 1


def test_a_view_that_fills_up_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "GROWTH", 2 / MAX_DEVICES_IN_VIEW)
    world, client = World(), MapClient()
    session = _open(world)
    _watch(session)
    client.take(session.next_frame() or b"")
    for number in range(3):
        world.apply(number, entry(number))
    client.take(session.next_frame() or b"")
    assert client.refused[-1]["reason"] == "view_filled_up"
    assert len(world.watches) == 0
    assert not session.has_pending


def test_devices_the_client_has_already_been_told_of_count_towards_a_view_that_fills_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_module, "GROWTH", 2 / MAX_DEVICES_IN_VIEW)
    world, client = World(), MapClient()
    for number in range(2):
        world.apply(number, entry(number))
    session = _open(world)
    _watch(session)
    client.take(session.next_frame() or b"")
    # A device that moves is none more: only the third one is too many, though it waits alone.
    world.apply(0, entry(0, lat_e7=312_305_000))
    client.take(session.next_frame() or b"")
    assert (len(client.devices), client.refused) == (2, [])
    world.apply(2, entry(2))
    client.take(session.next_frame() or b"")
    assert client.refused[-1]["reason"] == "view_filled_up"
    assert len(world.watches) == 0


def test_a_client_that_pans_too_fast_is_told_and_may_go_on_later() -> None:
    world = World()
    session = _open(world)
    for watch_id in range(int(FRAMES_AT_ONCE) + 1):
        _watch(session, watch_id)
    assert decode(session.next_frame() or b"")["reason"] == "too_fast"
    session.receive(encode({"type": "watch", "id": 99, "box": HERE}), now_s=1.0)
    assert decode(session.next_frame() or b"")["id"] == 99


def test_a_client_that_never_says_anything_sensible_is_hopeless() -> None:
    session = _open(World())
    for _ in range(MAX_REFUSED):
        assert not session.is_hopeless
        session.receive(b"what?", now_s=0.0)
    assert session.is_hopeless


def test_a_good_watch_forgives_what_was_refused_before_it() -> None:
    session = _open(World())
    for watch_id in (1, 2):
        for _ in range(MAX_REFUSED - 1):
            session.receive(b"what?", now_s=0.0)
        _watch(session, watch_id)
    session.receive(b"what?", now_s=0.0)
    assert not session.is_hopeless
