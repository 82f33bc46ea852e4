"""Whether the process lives, whether it can serve, and its figures."""

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from api.auth.guarded_route import GuardedRoute
from api.schemas import ReadyAnswer
from api.world import World, world_of
from firmware_protocol.messages import DeviceId
from gateway.ports import StoreUnavailable

PROBE_DEADLINE_S = 2.0
"""A store that needs longer than this for nothing is not ready."""

_PROBE = DeviceId("probe")
"""Any id will do: what counts is that Redis answers."""

router = APIRouter(tags=["health"], route_class=GuardedRoute)


@router.get("/livez", summary="The process runs", response_class=PlainTextResponse)
async def livez() -> str:
    """Says nothing about the stores: restarting this process would not mend them."""
    return "ok\n"


@router.get(
    "/readyz",
    summary="The process can serve",
    response_model=ReadyAnswer,
    responses={503: {"model": ReadyAnswer, "description": "It cannot, for these reasons"}},
)
async def readyz(request: Request) -> Response:
    """503 with every reason: the feed is stale, PostgreSQL or Redis is out of reach."""
    reasons = await _reasons(world_of(request))
    body = ReadyAnswer(ready=not reasons, reasons=reasons)
    return JSONResponse(body.model_dump(), status_code=503 if reasons else 200)


@router.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """In the text format of Prometheus."""
    body, media_type = request.state.telemetry.exposition()
    return Response(body, media_type=media_type)


async def _reasons(world: World) -> list[str]:
    feed = []
    if world.relay.is_stale:
        feed.append(f"the feed: {world.relay.trouble or 'silent for too long'}")
    stores = await asyncio.gather(_redis(world), _postgres(world))
    return [*feed, *(reason for reason in stores if reason)]


async def _redis(world: World) -> str:
    try:
        async with asyncio.timeout(PROBE_DEADLINE_S):
            await world.states.get(_PROBE)
    except (StoreUnavailable, TimeoutError) as error:
        return f"Redis: {str(error) or 'no answer'}"
    return ""


async def _postgres(world: World) -> str:
    try:
        async with asyncio.timeout(PROBE_DEADLINE_S):
            await world.truth.ping()
    except (StoreUnavailable, TimeoutError) as error:
        return f"PostgreSQL: {str(error) or 'no answer'}"
    return ""
