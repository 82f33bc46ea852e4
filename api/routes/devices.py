"""One device as the gateway believes it now, and the list of all that are registered."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from api.auth.guarded_route import GuardedRoute
from api.auth.principal import principal_of
from api.device_answer import device_answer
from api.live.map_device import KIND_NAMES
from api.ordering import device_named
from api.ports import KnownDevice
from api.problems import responses
from api.schemas import DeviceAnswer, DeviceListed, DevicePage
from api.world import World, world_of
from gateway.core.live_state import LiveState
from gateway.ports import StoreUnavailable

NAME_PATTERN = r"^[A-Za-z0-9._:-]{1,64}$"
"""What device ids and public ids are made of."""

AFTER_PATTERN = r"^[A-Za-z0-9._:-]{0,64}$"

router = APIRouter(tags=["devices"], route_class=GuardedRoute)


@router.get("/v1/devices/{id}", summary="One device, now", responses=responses(404, 422, 503))
async def device(
    request: Request,
    name: Annotated[
        str, Path(alias="id", pattern=NAME_PATTERN, description="Device id or current public id")
    ],
) -> DeviceAnswer:
    """The newest report with what the gateway makes of it: presence, availability and every reason."""
    world = world_of(request)
    known = await device_named(world.devices, name, principal_of(request))
    state, stale = await _state(world, known)
    return device_answer(known, state, now_ms=world.clock.now_ms(), stale=stale)


@router.get("/v1/devices", summary="Registered devices", responses=responses(422, 503))
async def devices(
    request: Request,
    after: Annotated[str, Query(pattern=AFTER_PATTERN, description="The `next` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> DevicePage:
    """In the order of device ids; ask again with `after` until `next` is null."""
    operator_id = principal_of(request).operator_id
    found = await world_of(request).devices.page(after, limit, operator_id=operator_id)
    return DevicePage(
        devices=[_listed(one) for one in found],
        next=found[-1].record.device_id if len(found) == limit else None,
    )


async def _state(world: World, known: KnownDevice) -> tuple[LiveState | None, bool]:
    """The state and whether it is only the saved one."""
    try:
        return await world.states.get(known.record.device_id), False
    except StoreUnavailable:
        return await world.saved_states.saved(known.record.device_no), True


def _listed(known: KnownDevice) -> DeviceListed:
    record = known.record
    return DeviceListed.model_validate(
        {
            "id": record.device_id,
            "public_id": record.public_id,
            "marker": record.marker,
            "kind": KIND_NAMES[known.model.kind],
            "model": record.model,
            "operator_id": record.operator_id,
            "status": record.status.name.lower(),
        }
    )
