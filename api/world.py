"""All that a request may ask, in one place."""

from dataclasses import dataclass

from fastapi import Request

from api.auth.gate import Gate
from api.auth.limits import Limiter
from api.live.fleet_view import FleetView
from api.live.hub import LiveHub
from api.live.relay import FeedRelay
from api.ports import AuditLog, Devices, History, Incidents, LiveStatesRead, Quarantine, SavedStates, Truth
from gateway.command_ports import CommandDesk
from gateway.commands.issue import IssuePorts
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
    gate: Gate
    limiter: Limiter
    audit: AuditLog
    desk: CommandDesk
    issuing: IssuePorts
    incidents: Incidents


def world_of(request: Request) -> World:
    """The world of the process that serves this request."""
    world: World = request.state.world
    return world
