"""All that a request may ask, in one place."""

from dataclasses import dataclass

from fastapi import Request

from api.live.fleet_view import FleetView
from api.live.relay import FeedRelay
from api.live.socket import LiveHub
from api.ports import Devices, History, LiveStatesRead, Quarantine, SavedStates, Truth
from gateway.ports import Clock


@dataclass(frozen=True, slots=True)
class World:
    """Put together by the composition root, read by routes."""

    clock: Clock
    view: FleetView
    relay: FeedRelay
    hub: LiveHub
    states: LiveStatesRead
    devices: Devices
    history: History
    quarantine: Quarantine
    saved_states: SavedStates
    truth: Truth


def world_of(request: Request) -> World:
    """The world of the process that serves this request."""
    world: World = request.state.world
    return world
