"""What must never happen, and did."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from api.auth.guarded_route import GuardedRoute
from api.auth.principal import principal_of
from api.command_answer import incident_model
from api.command_schemas import IncidentPage
from api.problems import responses
from api.world import world_of

router = APIRouter(tags=["operations"], route_class=GuardedRoute)


@router.get("/v1/incidents", summary="What must never happen, and did", responses=responses(422, 503))
async def incidents(
    request: Request,
    before: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="The `next` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> IncidentPage:
    """Of the caller's operator, newest first: late and repeated executions, sensors that contradict an answer."""
    rows = await world_of(request).incidents.page(principal_of(request).operator_id, before, limit)
    return IncidentPage(
        incidents=[incident_model(row) for row in rows],
        next=rows[-1].number if len(rows) == limit else None,
    )
