"""The hub wakes who has something to hear, and ends whoever's key is no longer good."""

import asyncio

import pytest

from api.auth.doors import Doors
from api.auth.gate import Gate
from api.live import hub as hubs
from api.live.entrance import Entrance
from api.live.fleet_view import FleetView, Succession
from api.live.hub import LiveHub
from api.live.session import SharedView
from api.live.watches import Watches
from gateway.people import KnownKey
from geo.cell import cell_at
from tests.support.fakes.people import FakePeople
from tests.support.waiting import until_async
from tests.unit.api.live.entries import entry
from tests.unit.api.surface import Surface


class Client:
    """Both a watcher and its connection."""

    def __init__(self, key: str = "") -> None:
        self.key = key
        self.heard = 0
        self.flushed = 0
        self.ended = False

    def hear(self, change: Succession) -> None:
        self.heard += 1

    def flush(self) -> None:
        self.flushed += 1

    def check(self, now_s: float) -> None:
        """Nothing to check."""

    def end(self) -> None:
        self.ended = True


class AwayForTheFirstLook(FakePeople):
    """PostgreSQL that comes back before anybody looks twice."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = True
        self.looks = 0

    async def find(self, key_id: str) -> KnownKey | None:
        self.looks += 1
        self.is_away = self.looks == 1
        return await super().find(key_id)


@pytest.fixture
def hub() -> LiveHub:
    surface = Surface(Doors())
    return LiveHub(SharedView(FleetView(), Watches(), "life", lambda: False), surface.hub.entrance)


async def test_a_change_wakes_who_watches_there_and_nobody_else(hub: LiveHub) -> None:
    near, far = Client(), Client()
    hub.sockets = {near: near, far: far}
    one = entry(1)
    hub.shared.watches.join(near, [cell_at(one.lat_e7, one.lon_e7, 14)])
    hub.tell([Succession(None, one)])
    assert (near.heard, near.flushed, far.flushed) == (1, 1, 0)
    hub.tell([])
    assert (near.flushed, far.flushed) == (2, 1)


async def test_only_the_one_with_a_bad_key_is_ended(hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "KEYS_AGAIN_S", 0.01)
    bad, token = Client("lk_abcdefghijkl_" + "A" * 43), Client()
    hub.sockets = {bad: bad, token: token}
    task = asyncio.create_task(hub.watch_keys())
    await until_async(lambda: bad.ended)
    task.cancel()
    assert not token.ended


async def test_a_look_that_postgres_did_not_answer_ends_nobody_and_the_next_one_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hubs, "KEYS_AGAIN_S", 0.01)
    surface, people = Surface(Doors()), AwayForTheFirstLook()
    gate = Gate(surface.gate.rules, people, people, surface.clock)
    hub = LiveHub(surface.hub.shared, Entrance(gate, Doors()))
    bad = Client("lk_abcdefghijkl_" + "A" * 43)
    hub.sockets = {bad: bad}
    task = asyncio.create_task(hub.watch_keys())
    # The API process ends with this task: it must be there for the second look.
    await until_async(lambda: bad.ended or task.done())
    assert bad.ended
    assert people.looks == 2
    task.cancel()
