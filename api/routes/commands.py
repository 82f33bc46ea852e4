"""Commands: ordered, looked at, waited for, taken back, given up."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request, Response

from api.auth.guarded_route import GuardedRoute
from api.auth.limits import limited
from api.auth.principal import Principal, principal_of
from api.command_answer import command_answer, timeline_answer
from api.command_schemas import (
    NO_WORD,
    CommandAnswer,
    CommandPage,
    CommandWish,
    Reconsideration,
    TimelineAnswer,
)
from api.ordering import device_named, order_of, waited
from api.ports import KnownDevice
from api.problems import FieldFault, Problem, bad_request, responses
from api.routes.devices import NAME_PATTERN
from api.world import World, world_of
from firmware_protocol.commands import CommandKind
from gateway.command_ports import CommandRecord
from gateway.commands.issue import Wish
from gateway.core.command import Phase
from gateway.core.issue_conditions import Refusal

MAX_WAIT_S = 30.0
"""Below what proxies allow an answer to take."""

KEY_PATTERN = r"^[!-~]{8,128}$"
"""Long enough not to meet another by accident: a UUID, or the id of the rider's tap."""

ORDER_PATH = "/v1/devices/{id}/commands"

WaitS = Annotated[
    float, Query(ge=0, le=MAX_WAIT_S, description="Answer when it is settled, at the latest after this")
]
CommandName = Annotated[UUID, Path(alias="id", description="Command id")]

router = APIRouter(tags=["commands"], route_class=GuardedRoute)


@router.post(
    ORDER_PATH,
    status_code=201,
    summary="Order a device to do something",
    responses={
        200: {"model": CommandAnswer, "description": "The same key again: what it stands for"},
        **responses(404, 409, 422, 429, 503),
    },
    dependencies=[limited("commands", by=("principal", "device"))],
)
async def order(
    request: Request,
    response: Response,
    *,
    name: Annotated[
        str, Path(alias="id", pattern=NAME_PATTERN, description="Device id or current public id")
    ],
    wanted: CommandWish,
    key: Annotated[
        str,
        Header(
            alias="Idempotency-Key",
            pattern=KEY_PATTERN,
            description="The same for every repetition of one wish",
        ),
    ],
    wait_s: WaitS = 0,
) -> CommandAnswer:
    """Refused with every reason when it would be pointless or unsafe now. Silence of the device is `unconfirmed`,
    never `failed`: the lock may be open."""
    world, principal = world_of(request), principal_of(request)
    ordered = await order_of(
        world, principal, name, lambda known: _wish(known, wanted, principal, key), wait_s=wait_s
    )
    response.status_code = ordered.status
    response.headers.update(ordered.headers())
    return command_answer(ordered.command)


@router.get("/v1/commands/{id}", summary="One command", responses=responses(404, 422, 503))
async def command(request: Request, command_id: CommandName, wait_s: WaitS = 0) -> CommandAnswer:
    """As it stands; with `wait_s` as soon as it is settled or unconfirmed."""
    world = world_of(request)
    own = await _own(world, principal_of(request), command_id)
    return command_answer(await waited(world, own, wait_s))


@router.get(
    "/v1/commands/{id}/timeline", summary="The story of a command", responses=responses(404, 422, 503)
)
async def timeline(request: Request, command_id: CommandName) -> TimelineAnswer:
    """Requested, issued, claimed, published, answered, sensed, settled: each with its milliseconds."""
    world = world_of(request)
    own = await _own(world, principal_of(request), command_id)
    return timeline_answer(own, await world.desk.timeline(command_id))


@router.post(
    "/v1/commands/{id}/cancel", summary="Take a command back", responses=responses(404, 409, 422, 503)
)
async def cancel(
    request: Request, command_id: CommandName, wanted: Reconsideration = NO_WORD
) -> CommandAnswer:
    """Only what has not been sent can be taken back."""
    world, principal = world_of(request), principal_of(request)
    before = await _own(world, principal, command_id)
    after = await world.desk.cancel(command_id, world.clock.now_ms(), principal.name, wanted.why)
    if after.phase is not Phase.CANCELLED:
        detail = f"The command is {after.phase.value}: what was sent cannot be taken back."
        raise Problem("not_cancelled", 409, detail, extra={"phase": after.phase.value})
    if before.phase is not after.phase:
        world.figures.ended_by_a_person(after.phase.value)
    return command_answer(after)


@router.post(
    "/v1/commands/{id}/abandon", summary="Give a silent command up", responses=responses(404, 409, 422, 503)
)
async def abandon(
    request: Request, command_id: CommandName, wanted: Reconsideration = NO_WORD
) -> CommandAnswer:
    """Frees the slot of an unconfirmed command, on the word of a person who has looked."""
    world, principal = world_of(request), principal_of(request)
    before = await _own(world, principal, command_id)
    after = await world.desk.abandon(command_id, world.clock.now_ms(), principal.name, wanted.why)
    if after.phase is not Phase.ABANDONED:
        detail = f"The command is {after.phase.value}: only an unconfirmed one can be given up."
        raise Problem("not_abandoned", 409, detail, extra={"phase": after.phase.value})
    if before.phase is not after.phase:
        world.figures.ended_by_a_person(after.phase.value)
    return command_answer(after)


@router.get(ORDER_PATH, summary="Commands of one device", responses=responses(404, 422, 503))
async def commands_of(
    request: Request,
    name: Annotated[
        str, Path(alias="id", pattern=NAME_PATTERN, description="Device id or current public id")
    ],
    before: Annotated[UUID | None, Query(description="The `next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> CommandPage:
    """Newest first; what an earlier operator of the device ordered is not told."""
    world = world_of(request)
    principal = principal_of(request)
    known = await device_named(world.devices, name, principal)
    page = await world.desk.of_device(
        known.record.device_no, principal.operator_id, before=before, limit=limit
    )
    return CommandPage(
        commands=[command_answer(one) for one in page],
        next=str(page[-1].command_id) if len(page) == limit else None,
    )


def _wish(known: KnownDevice, wanted: CommandWish, principal: Principal, key: str) -> Wish:
    """Raises Problem for what the shape of the body cannot say."""
    if wanted.override and not wanted.why.strip():
        raise bad_request([FieldFault("why", "say why conditions are passed over: it goes to the audit log")])
    if wanted.settings and wanted.kind != "configure":
        raise bad_request([FieldFault("settings", "only `configure` takes settings")])
    return Wish(
        device=known.record,
        model=known.model,
        kind=CommandKind[wanted.kind.upper()],
        requested_by=principal.name,
        idempotency_key=key,
        slot=wanted.slot,
        ttl_s=wanted.ttl_s,
        claim_id=wanted.claim_id,
        why=wanted.why,
        override=frozenset(Refusal(name) for name in wanted.override),
        settings=wanted.settings,
    )


async def _own(world: World, principal: Principal, command_id: UUID) -> CommandRecord:
    """Another operator's command is as absent as one that never was. Raises Problem, StoreUnavailable."""
    found = await world.desk.find(command_id)
    if found is None or found.operator_id != principal.operator_id:
        raise Problem("command_not_found", 404, "There is no command with this id.")
    return found
