"""When a map client that takes nothing is cut off, to the second and without a network."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.json import encode
from uvicorn.config import Config
from uvicorn.server import ServerState

from api.auth.doors import Doors
from api.live.entrance import Entrance
from api.live.fleet_view import FleetView
from api.live.hub import SWEEP_S, LiveHub
from api.live.session import SharedView
from api.live.socket import STUCK_AFTER_S, LiveSocket
from api.live.watches import Watches
from tests.support.stuck_client import masked, upgrade
from tests.support.waiting import until_async
from tests.unit.api.surface import Surface

SURFACE = Surface(Doors())

LIMIT_S = 10.0
"""What a client that stops reading may cost at most."""


class Transport(asyncio.Transport):
    """Takes what is written, reads or does not, and is aborted or closed; nothing else."""

    def __init__(self) -> None:
        super().__init__({"socket": SimpleNamespace(setsockopt=lambda *given: None)})
        self.aborted = False
        self.listens = True
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing to bound."""

    def pause_reading(self) -> None:
        self.listens = False

    def resume_reading(self) -> None:
        self.listens = True

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
async def hub() -> LiveHub:
    return LiveHub(SharedView(FleetView(), Watches(), "life", lambda: False), Entrance(SURFACE.gate, Doors()))


async def connected(hub: LiveHub) -> tuple[LiveSocket, Transport]:
    """A client that has asked for a place on the map."""
    config = cast(Config, SimpleNamespace())
    one = LiveSocket(config=config, server_state=ServerState(), app_state={"live": hub})
    transport = Transport()
    one.connection_made(transport)
    one.data_received(upgrade(SURFACE.token()))
    await until_async(lambda: b"101 Switching" in transport.written)
    text = encode({"type": "watch", "id": 1, "box": [121.4, 31.2, 121.5, 31.3]})
    one.data_received(masked(1, text))
    assert b"snapshot" in transport.written
    return one, transport


async def test_a_client_that_takes_no_frame_is_cut_off_in_time(hub: LiveHub) -> None:
    one, transport = await connected(hub)
    began_s = asyncio.get_running_loop().time()
    one.pause_writing()
    now_s = began_s
    while not transport.aborted and now_s < began_s + LIMIT_S:
        now_s += SWEEP_S
        one.check(now_s)
    assert transport.aborted
    assert now_s > began_s + STUCK_AFTER_S
    assert hub.closed_stuck == 1


async def test_a_client_that_reads_again_is_kept(hub: LiveHub) -> None:
    one, transport = await connected(hub)
    one.pause_writing()
    one.check(asyncio.get_running_loop().time() + STUCK_AFTER_S / 2)
    one.resume_writing()
    one.check(asyncio.get_running_loop().time() + 1.0)
    assert not transport.aborted


async def test_a_client_that_takes_no_frame_is_not_listened_to_until_it_does(hub: LiveHub) -> None:
    one, transport = await connected(hub)
    listens = [transport.listens]
    one.pause_writing()
    listens.append(transport.listens)
    one.resume_writing()
    listens.append(transport.listens)
    assert listens == [True, False, True]


async def test_a_token_that_turns_out_good_does_not_open_the_ears_to_a_client_that_takes_no_frame(
    hub: LiveHub,
) -> None:
    one, transport = await connected(hub)
    one.data_received(masked(1, encode({"type": "hello", "token": SURFACE.token()})))
    one.pause_writing()
    await until_async(lambda: not one._admission.is_asking)
    assert not transport.listens
    one.resume_writing()
    assert transport.listens
