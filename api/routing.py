"""The FastAPI application: its routes, its problems, its documents and the page."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from api import problems
from api.direct import DirectRoute
from api.routes import devices, documents, fleet, health, history, nearby, quarantine
from api.telemetry import App, MeasuredApp

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[dict[str, Any]]]

DESCRIPTION = """
Devices, their history, and what is near. For a map that stays right, open the WebSocket `/v1/live`, which
[its own document](/asyncapi.yaml) describes. Every error is a problem as of RFC 9457, with a stable `type`.
Positions are WGS-84 in degrees, times ISO 8601 in UTC (Unix milliseconds on the map).
"""

_TAGS = [
    {"name": "map", "description": "What riders see: public ids only, answered from memory."},
    {"name": "devices", "description": "One device, now and before."},
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
    )
    problems.install(app)
    # The most asked first: routes are tried in order.
    for module in (nearby, fleet, history, devices, quarantine, health, documents):
        app.include_router(module.router)
    if web_dir is not None:
        app.mount("/", StaticFiles(directory=web_dir, html=True), name="page")
    return app


def surface(lifespan: Lifespan, *, web_dir: Path | None, monotonic_s: Callable[[], float]) -> App:
    """The application as it is served: measured, and with the shortest way for what is asked most."""
    app = application(lifespan, web_dir=web_dir)
    return MeasuredApp(DirectRoute(app, nearby.PATH, nearby.nearby_json), monotonic_s=monotonic_s)
