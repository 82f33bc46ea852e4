"""The FastAPI application: its routes, its problems, its documents and the page."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.routing import Match, Mount
from starlette.types import Scope

from api import problems
from api.auth.doors import Doors
from api.auth.guarded_route import GuardedRoute
from api.bounded_body import BoundedBody
from api.direct import DirectRoute
from api.direct_order import DirectOrders
from api.named_host import NamedHost
from api.page_files import PageFiles
from api.problems import MAX_BODY_BYTES
from api.routes import (
    audit,
    broker_auth,
    commands,
    devices,
    documents,
    enrol,
    fleet,
    health,
    history,
    incidents,
    login,
    nearby,
    quarantine,
)
from api.security_document import with_security
from api.telemetry import MeasuredApp, QuickApp

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[dict[str, Any]]]

DESCRIPTION = """
Devices, their history, and what is near. For a map that stays right, open the WebSocket `/v1/live`, which
[its own document](/asyncapi.yaml) describes. Every error is a problem as of RFC 9457, with a stable `type`.
Everything of an operator needs `Authorization: Bearer …` with a token or an API key, and shows that operator's devices.
Positions are WGS-84 in degrees, times ISO 8601 in UTC (Unix milliseconds on the map).
"""

_TAGS = [
    {"name": "map", "description": "What riders see: public ids only, answered from memory."},
    {"name": "devices", "description": "One device, now and before."},
    {"name": "commands", "description": "Orders to a device: their phase, their story, their end."},
    {"name": "brokers", "description": "For a broker that asks who may enter, instead of reading a file."},
    {"name": "login", "description": "How riders get a token."},
    {"name": "operations", "description": "What the person who runs it needs."},
    {"name": "health", "description": "For supervisors and Prometheus."},
    {"name": "documents", "description": "Machine-readable descriptions."},
]


def application(lifespan: Lifespan, *, web_dir: Path | None) -> FastAPI:
    """The lifespan gives `world`, `live` and `telemetry`, which every request finds in its state."""
    app = FastAPI(
        title="Latchkey",
        version="1",
        description=DESCRIPTION,
        openapi_tags=_TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        # FastAPI's own viewers are programs from elsewhere, in the origin where the page keeps its token: ours is a
        # page beside the map.
        docs_url=None,
        redoc_url=None,
        max_body_size=MAX_BODY_BYTES,
    )
    problems.install(app)
    # The most asked first: routes are tried in order.
    for module in (
        nearby,
        broker_auth,
        fleet,
        commands,
        history,
        devices,
        enrol,
        incidents,
        login,
        audit,
        quarantine,
        health,
        documents,
    ):
        _refuse_unguarded(module.router)
        app.include_router(module.router)
    describe = app.openapi
    app.openapi = lambda: with_security(describe())  # type: ignore[method-assign]  # FastAPI's own way to extend it
    if web_dir is not None:
        app.router.routes.append(_Page("/", PageFiles(web_dir), name="page"))
    return app


class _Page(Mount):
    """The files of the page: everything but what the API has, whose refusals must stay its own."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["path"].startswith("/v1/"):
            return Match.NONE, {}
        return super().matches(scope)


def surface(
    lifespan: Lifespan, doors: Doors, *, web_dir: Path | None, monotonic_s: Callable[[], float]
) -> QuickApp:
    """The application as it is served: measured, and with the shortest way for what is asked most."""
    app = BoundedBody(application(lifespan, web_dir=web_dir), max_bytes=MAX_BODY_BYTES)
    direct = DirectRoute(
        DirectOrders(app), nearby.PATH, nearby.nearby_json, at_once=nearby.nearby_json_at_once
    )
    return MeasuredApp(NamedHost(direct, doors), monotonic_s=monotonic_s)


def _refuse_unguarded(router: APIRouter) -> None:
    """Raises TypeError for a router whose routes would ask nobody who they are."""
    for route in router.routes:
        if not isinstance(route, GuardedRoute):
            raise TypeError(f"{route} is no GuardedRoute: give its router route_class=GuardedRoute")
