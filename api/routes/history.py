"""What a device reported, raw or by the minute, hour or day."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime

from api.auth.guarded_route import GuardedRoute
from api.auth.principal import principal_of
from api.device_answer import bolt_name
from api.instants import instant, unix_ms
from api.ordering import device_named
from api.ports import BadCursor, BadRange, HistoryQuestion, RawPoint, Step, StepPoint
from api.problems import FieldFault, Problem, bad_request, responses
from api.routes.devices import NAME_PATTERN
from api.schemas import HistoryAnswer, RawPointModel, StepPointModel
from api.world import world_of
from firmware_protocol.messages import Bolt
from gateway.history_cursor import range_of
from geo.point import E7

DEFAULT_RANGE = timedelta(days=1)
EARLIEST = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
LATEST = datetime.fromisoformat("2100-01-01T00:00:00+00:00")

router = APIRouter(tags=["devices"], route_class=GuardedRoute)


@router.get(
    "/v1/devices/{id}/history",
    summary="What a device reported",
    response_model=HistoryAnswer,
    responses=responses(404, 422, 503),
)
async def history(
    request: Request,
    name: Annotated[
        str, Path(alias="id", pattern=NAME_PATTERN, description="Device id or current public id")
    ],
    *,
    since: Annotated[
        AwareDatetime | None, Query(alias="from", description="Inclusive; a day before `to`")
    ] = None,
    until: Annotated[
        AwareDatetime | None, Query(alias="to", description="Exclusive; now when left out")
    ] = None,
    step: Annotated[Step, Query(description="`raw` gives every report")] = "raw",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    after: Annotated[str | None, Query(max_length=200, description="The `next` of the page before")] = None,
) -> Response:
    """Oldest first; ask again with `after` until `next` is null: `from` and `to` may be left out then. What the device
    reported to an earlier operator is not told."""
    world, principal = world_of(request), principal_of(request)
    if after is not None and (since is None or until is None):
        first, end_before = _range_before(after)
        since, until = since or first, until or end_before
    end = until or instant(world.clock.now_ms())
    _refuse_unreal("to", end)
    start = since or end - DEFAULT_RANGE
    _refuse_unreal("from", start)
    if not start < end:
        raise bad_request([FieldFault("from", "must be before `to`")])
    record = (await device_named(world.devices, name, principal)).record
    question = HistoryQuestion(
        record.device_no, principal.operator_id, step, unix_ms(start), unix_ms(end), limit, after
    )
    try:
        page = await world.history.page(question)
    except BadRange as error:
        detail = f"{error}; a coarser step reaches further"
        raise Problem("range_too_wide", 422, detail, fields=[FieldFault("from, to", detail)]) from error
    except BadCursor as error:
        raise _not_the_next() from error
    # Rows of our own store need no second validation, which would cost more than reading them.
    answer = HistoryAnswer.model_construct(
        device_id=record.device_id,
        step=step,
        points=[_point(point) for point in page.points],
        next=page.next_after,
    )
    return Response(answer.model_dump_json(), media_type="application/json")


def _range_before(after: str) -> tuple[datetime, datetime]:
    """That of the page before. Raises Problem."""
    try:
        from_ms, to_ms = range_of(after)
        return instant(from_ms), instant(to_ms)
    except (BadCursor, OverflowError) as error:
        raise _not_the_next() from error


def _not_the_next() -> Problem:
    return bad_request([FieldFault("after", "is not the `next` of this question")])


def _refuse_unreal(field: str, moment: datetime) -> None:
    """Raises Problem for a moment that is not of our time. Before any arithmetic: the year 1 has no yesterday."""
    if not EARLIEST <= moment <= LATEST:
        raise bad_request([FieldFault(field, f"must lie between {EARLIEST:%Y} and {LATEST:%Y}")])


def _point(point: RawPoint | StepPoint) -> RawPointModel | StepPointModel:
    return _raw(point) if isinstance(point, RawPoint) else _step(point)


def _raw(point: RawPoint) -> RawPointModel:
    return RawPointModel.model_construct(
        at=instant(point.at_ms),
        received_at=instant(point.received_ms),
        boot=point.boot,
        seq=point.seq,
        clock_suspect=point.clock_suspect,
        kept=point.kept,
        lat=_degrees(point.lat_e7),
        lon=_degrees(point.lon_e7),
        accuracy_m=point.accuracy_m,
        battery_pct=point.battery_pct,
        bolt=None if point.bolt is None else bolt_name(Bolt(point.bolt)),
        moving=point.moving,
        units=point.units,
        spaces=point.spaces,
        signal_dbm=point.signal_dbm,
    )


def _step(point: StepPoint) -> StepPointModel:
    return StepPointModel.model_construct(
        at=instant(point.at_ms),
        reports=point.reports,
        lat=_degrees(point.lat_e7),
        lon=_degrees(point.lon_e7),
        battery_min_pct=point.battery_min_pct,
        battery_max_pct=point.battery_max_pct,
        battery_last_pct=point.battery_last_pct,
        units_min=point.units_min,
        units_max=point.units_max,
        units_last=point.units_last,
        spaces_min=point.spaces_min,
        spaces_max=point.spaces_max,
        spaces_last=point.spaces_last,
        online_minutes=point.online_minutes,
    )


def _degrees(value_e7: int | None) -> float | None:
    return None if value_e7 is None else value_e7 / E7
