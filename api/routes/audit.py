"""Who did what, for whoever answers for an operator."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from api.auth.guarded_route import GuardedRoute
from api.auth.principal import principal_of
from api.instants import instant
from api.problems import responses
from api.world import world_of

router = APIRouter(tags=["operations"], route_class=GuardedRoute)


class AuditLine(BaseModel):
    """One thing that somebody did. Never changed, never removed."""

    number: int = Field(description="Of all operators together: numbers of others are missing here")
    at: datetime
    actor: str = Field(examples=["staff:ann"], description="`role:subject`; riders by a random id")
    role: str
    action: str = Field(examples=["command_issue"])
    subject: str = Field(
        examples=["device:bike-000017"], description="What it was done to: `device:`, `key:`, `person:` …"
    )
    why: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditPage(BaseModel):
    """Newest first."""

    lines: list[AuditLine]
    next: int | None = Field(description="Give it as `before` for the next page; null at the end")


@router.get("/v1/audit", summary="Who did what", responses=responses(422, 503))
async def audit(
    request: Request,
    before: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="The `next` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AuditPage:
    """Newest first, of one's own operator. `./latchkey audit verify` shows that nobody changed it."""
    operator_id = principal_of(request).operator_id
    rows = await world_of(request).audit.page(operator_id, before, limit)
    lines = [
        AuditLine(
            number=row.number,
            at=instant(row.at_ms),
            actor=row.actor,
            role=row.role,
            action=row.action,
            subject=row.subject,
            why=row.why,
            before=row.before,
            after=row.after,
        )
        for row in rows
    ]
    return AuditPage(lines=lines, next=rows[-1].number if len(rows) == limit else None)
