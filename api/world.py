"""All that a request may ask, in one place."""

from dataclasses import dataclass, field

from fastapi import Request

from api.auth.gate import Gate
from api.auth.limits import Limiter
from api.auth.wechat import WeChatLogin
from api.live.fleet_view import FleetView
from api.live.hub import LiveHub
from api.live.relay import FeedRelay
from api.order_figures import OrderFigures
from api.ports import (
    AuditLog,
    Devices,
    DevicesInMemory,
    History,
    Incidents,
    LiveStatesRead,
    Quarantine,
    SavedStates,
    Truth,
)
from gateway.broker_port import BrokerAccess
from gateway.command_ports import CommandDesk
from gateway.commands.issue import IssuePorts
from gateway.enrolment_port import Enrolment
from gateway.ports import Clock


@dataclass(frozen=True, slots=True)
class BrokerSide:
    """What the API says of devices to brokers, and of the broker to devices."""

    access: BrokerAccess
    secret: bytes = field(repr=False)
    """What a broker that asks must say; empty: none is answered."""
    address: str
    """Where devices find the broker, as new ones are told."""


@dataclass(frozen=True, slots=True)
class World:
    """Put together by the composition root, read by routes."""

    clock: Clock
    view: FleetView
    relay: FeedRelay
    hub: LiveHub
    states: LiveStatesRead
    devices: Devices
    """As PostgreSQL has them in this moment."""
    at_hand: DevicesInMemory
    """The same from memory: for whoever finds out that one has changed."""
    history: History
    quarantine: Quarantine
    saved_states: SavedStates
    truth: Truth
    gate: Gate
    limiter: Limiter
    audit: AuditLog
    login: WeChatLogin | None
    """None where riders do not log in here."""
    desk: CommandDesk
    issuing: IssuePorts
    figures: OrderFigures
    incidents: Incidents
    enrolment: Enrolment
    broker: BrokerSide


def world_of(request: Request) -> World:
    """The world of the process that serves this request."""
    world: World = request.state.world
    return world
