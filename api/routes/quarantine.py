"""Frames that were not understood, for a person to read."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from api.auth.guarded_route import GuardedRoute
from api.auth.principal import principal_of
from api.instants import instant
from api.problems import responses
from api.schemas import QuarantineAnswer, QuarantinedModel
from api.world import world_of

MAX_SHOWN_BYTES = 2_048
"""Enough to see what is wrong with a frame; the rest is in PostgreSQL."""

router = APIRouter(tags=["operations"], route_class=GuardedRoute)


@router.get("/v1/quarantine", summary="Frames that were not understood", responses=responses(422, 503))
async def quarantine(
    request: Request,
    before: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="The `next` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> QuarantineAnswer:
    """Newest first, of the operator's own devices; frames of devices nobody registered are on the command line."""
    operator_id = principal_of(request).operator_id
    rows = await world_of(request).quarantine.page(before, limit, operator_id=operator_id)
    frames = [
        QuarantinedModel(
            number=row.number,
            device_id=row.device_id,
            topic=row.topic,
            reason=row.reason,
            where=row.where,
            received_at=instant(row.received_ms),
            frame_hex=row.frame[:MAX_SHOWN_BYTES].hex(),
            frame_bytes=len(row.frame),
        )
        for row in rows
    ]
    return QuarantineAnswer(frames=frames, next=rows[-1].number if len(rows) == limit else None)
