"""The description of the WebSocket, beside FastAPI's own of the routes."""

from pathlib import Path

from fastapi import APIRouter, Response

from api.auth.guarded_route import GuardedRoute

ASYNCAPI_LIVE = Path(__file__).parents[2] / "docs" / "asyncapi-live.yaml"
ASYNCAPI_DEVICES = ASYNCAPI_LIVE.with_name("asyncapi.yaml")
MEDIA_TYPE = "application/yaml"

router = APIRouter(tags=["documents"], route_class=GuardedRoute)


@router.get("/asyncapi.yaml", summary="AsyncAPI 3 of the live map", response_class=Response)
async def asyncapi_live() -> Response:
    """What a map client and the server say to each other on /v1/live."""
    return Response(ASYNCAPI_LIVE.read_bytes(), media_type=MEDIA_TYPE)


@router.get("/asyncapi-devices.yaml", summary="AsyncAPI 3 of the devices' MQTT", response_class=Response)
async def asyncapi_devices() -> Response:
    """What devices and the gateway say to each other over MQTT."""
    return Response(ASYNCAPI_DEVICES.read_bytes(), media_type=MEDIA_TYPE)
