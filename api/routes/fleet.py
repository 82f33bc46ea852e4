"""How many devices there are, by sort."""

from fastapi import APIRouter, Request

from api.auth.guarded_route import GuardedRoute
from api.auth.principal import principal_of
from api.live.map_device import KIND_NAMES
from api.schemas import FleetAnswer, FleetGroup
from api.world import world_of

router = APIRouter(tags=["map"], route_class=GuardedRoute)


@router.get("/v1/fleet", summary="Counts of the devices on the map")
async def fleet(request: Request) -> FleetAnswer:
    """Counted in memory as changes arrive; costs nothing to ask."""
    world = world_of(request)
    tallies = world.view.tallies(principal_of(request).operator_id)
    groups = [
        FleetGroup.model_validate(
            {
                "kind": KIND_NAMES[tally.kind],
                "available": tally.available,
                "presence": tally.presence.name.lower(),
                "count": count,
            }
        )
        for tally, count in sorted(tallies.items())
    ]
    return FleetAnswer(devices=sum(tallies.values()), groups=groups, stale=world.relay.is_stale)
