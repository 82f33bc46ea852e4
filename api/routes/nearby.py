"""Devices around a point, nearest first."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta, Struct

from api.auth.gate import forbidden
from api.auth.guarded_route import GuardedRoute
from api.auth.limits import MAX_NEARBY_FOR_RIDERS
from api.auth.principal import Principal, Role, principal_of
from api.live.map_device import NearDevice, near_device
from api.live.traits import MapFilter, kinds_mask
from api.problems import FieldFault, bad_request, printable, responses
from api.schemas import NearbyAnswer
from api.world import World, world_of
from gateway.core.device import Kind
from geo.point import Point, from_degrees

MAX_RADIUS_M = 10_000
"""A long walk; wider questions are maps, and have the WebSocket."""

MAX_NEARBY = 200
"""More than a list on a phone shows."""

_KINDS = {kind.name.lower(): kind for kind in Kind}

PATH = "/v1/nearby"

router = APIRouter(tags=["map"], route_class=GuardedRoute)


class _Nearby(Struct):
    devices: list[NearDevice]
    stale: bool


_encode = msgspec.json.Encoder().encode


class NearbyQuery(Struct, frozen=True):
    """The parameters as they are after parsing."""

    lat: float
    lon: float
    radius_m: Annotated[float, Meta(gt=0, le=MAX_RADIUS_M)] = 500.0
    kinds: str = ""
    min_battery_pct: Annotated[int, Meta(ge=0, le=100)] = 0
    availability: Literal["available", "any"] = "available"
    limit: Annotated[int, Meta(ge=1, le=MAX_NEARBY)] = 50

    def centre(self) -> Point:
        """Raises Problem when it is not on the earth."""
        try:
            return from_degrees(self.lat, self.lon)
        except (ValueError, OverflowError) as error:
            detail = "lat must be within ±90 and lon within ±180"
            raise bad_request([FieldFault("lat, lon", detail)]) from error

    def wanted(self, principal: Principal) -> MapFilter:
        """Raises Problem for an unknown kind, or for what a rider may not see."""
        names = [name for name in self.kinds.split(",") if name]
        if unknown := set(names) - _KINDS.keys():
            detail = f"unknown: {printable(', '.join(sorted(unknown)))}; there are {', '.join(_KINDS)}"
            raise bad_request([FieldFault("kinds", detail)])
        if principal.role is Role.RIDER and self.availability != "available":
            raise forbidden("Riders see what they can rent; `availability` is `available`.")
        return MapFilter(
            kinds=kinds_mask({_KINDS[name] for name in names}),
            only_available=self.availability == "available",
            min_battery_pct=self.min_battery_pct,
            operator_id=principal.operator_id,
        )


def parse_query(parameters: Mapping[str, str]) -> NearbyQuery:
    """Raises Problem that names the parameter."""
    try:
        return msgspec.convert(dict(parameters), NearbyQuery, strict=False)
    except msgspec.ValidationError as error:
        # msgspec ends its sentence with "- at `$.name`", and names a missing one in it.
        detail, _, where = str(error).partition(" - at `$.")
        field = where.rstrip("`") or detail.rpartition("field `")[2].rstrip("`")
        raise bad_request([FieldFault(printable(field), printable(detail))]) from error


def _parameter(
    name: str, schema: Mapping[str, Any], description: str, *, required: bool = False
) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema, "description": description}


_PARAMETERS = [
    _parameter(
        "lat", {"type": "number", "minimum": -90, "maximum": 90, "example": 31.2304}, "Degrees", required=True
    ),
    _parameter(
        "lon",
        {"type": "number", "minimum": -180, "maximum": 180, "example": 121.4737},
        "Degrees",
        required=True,
    ),
    _parameter(
        "radius_m",
        {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_RADIUS_M, "default": 500},
        "Metres",
    ),
    _parameter(
        "kinds",
        {"type": "string", "pattern": rf"^,*(({'|'.join(_KINDS)})(,+|$))*$", "example": "bike,cabinet"},
        "Comma-separated; all when left out",
    ),
    _parameter(
        "min_battery_pct",
        {"type": "integer", "minimum": 0, "maximum": 100, "default": 0},
        "For bikes; one whose charge is unknown counts as empty. Says nothing about cabinets and lockers.",
    ),
    _parameter(
        "availability",
        {"type": "string", "enum": ["available", "any"], "default": "available"},
        "`any` also shows what cannot be rented, with the reasons",
    ),
    _parameter(
        "limit", {"type": "integer", "minimum": 1, "maximum": MAX_NEARBY, "default": 50}, "At most so many"
    ),
]


@router.get(
    PATH,
    summary="Devices around a point, nearest first",
    responses={200: {"model": NearbyAnswer}, **responses(403, 422)},
    openapi_extra={"parameters": _PARAMETERS},
)
async def nearby(request: Request) -> Response:
    """Answered from memory; distances are exact on the sphere. Riders get at most 50 devices, 60 times a minute."""
    world, principal = world_of(request), principal_of(request)
    body = await nearby_json(world, principal, request.scope["query_string"])
    return Response(body, media_type="application/json")


async def nearby_json(world: World, principal: Principal, query_string: bytes) -> bytes:
    """The whole answer, without the framework's models: they would cost more than the search itself.
    Raises Problem."""
    if principal.role is Role.RIDER:
        await world.limiter.allow_principal("nearby", principal)
    return _found_json(world, principal, query_string)


def nearby_json_at_once(world: World, principal: Principal, query_string: bytes) -> bytes | None:
    """The same for whom no limit counts; None for riders, whose questions are counted elsewhere. Raises Problem."""
    return None if principal.role is Role.RIDER else _found_json(world, principal, query_string)


def _found_json(world: World, principal: Principal, query_string: bytes) -> bytes:
    """Raises Problem."""
    query = parse_query(_parameters_of(query_string.decode("latin-1")))
    limit = min(query.limit, MAX_NEARBY_FOR_RIDERS) if principal.role is Role.RIDER else query.limit
    found = world.view.nearby(query.centre(), query.radius_m, query.wanted(principal), limit=limit)
    # Not through the cache of the live map: what is near differs with each who asks.
    devices = [near_device(entry, int(distance_m * 10 + 0.5) / 10) for entry, distance_m in found]
    return _encode(_Nearby(devices, world.relay.is_stale))


def _parameters_of(query: str) -> dict[str, str]:
    """The last value of each name."""
    if "%" in query or "+" in query:
        return dict(parse_qsl(query, keep_blank_values=True))
    # Numbers and words need no decoding, which would take a tenth of the answer's time.
    pairs = (pair.partition("=") for pair in query.split("&"))
    return {name: value for name, _, value in pairs if name}
