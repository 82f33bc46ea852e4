"""The straight line of a wish: conditions, key, one transaction; or the reasons why not."""

from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from uuid import UUID

from msgspec import Struct, json

from firmware_protocol.codec import decode_report
from firmware_protocol.commands import CommandKind
from firmware_protocol.errors import MalformedFrame
from firmware_protocol.messages import Report
from gateway.command_counters import WishCounter
from gateway.command_ports import (
    CommandDesk,
    DeviceChanged,
    DeviceKeys,
    Issued,
    IssueOutcome,
    KeyReused,
    LiveStateOf,
    NewCommand,
    SavedStateOf,
)
from gateway.core.device import DeviceModel, DeviceRecord
from gateway.core.evidence import place_in
from gateway.core.issue_conditions import Refusal, Refused, Situation, refusals
from gateway.core.live_state import LiveState
from gateway.ports import Clock, StoreUnavailable

MIN_TTL_S = 2
MAX_TTL_S = 60
DEFAULT_TTL_S = 10
"""As long as a person waits in front of a lock."""


class Wish(Struct, frozen=True):
    """What somebody asks for; the device is theirs to command, which the caller has made sure of."""

    device: DeviceRecord
    model: DeviceModel
    kind: CommandKind
    requested_by: str
    """The principal, as `role:subject`."""
    idempotency_key: str
    slot: int = 0
    ttl_s: int = DEFAULT_TTL_S
    """Raises ValueError at issue unless MIN_TTL_S to MAX_TTL_S."""
    claim_id: str = ""
    why: str = ""
    override: frozenset[Refusal] = frozenset()
    """The caller has made sure that it is staff who asks, and says why."""
    settings: Mapping[str, bool | int | str] = {}


class RefusedWish(Struct, frozen=True):
    """Every reason against it; nothing was written, and the key stands for nothing."""

    reasons: tuple[Refused, ...]


class IssuePorts(Struct, frozen=True):
    """What the flow needs of the world."""

    desk: CommandDesk
    live_states: LiveStateOf
    saved_states: SavedStateOf
    keys: DeviceKeys
    clock: Clock
    counters: WishCounter
    new_id: Callable[[], UUID]
    may_be_behind: Callable[[], bool] = lambda: False
    """Whether live states are not vouched for: Redis answers, and yet nobody can write to it, or it was emptied."""


async def issue(
    wish: Wish, ports: IssuePorts, *, allowed: Awaitable[None] | None = None
) -> IssueOutcome | RefusedWish:
    """The same key with the same wish is one command, however often. Raises StoreUnavailable, ValueError, and what
    `allowed` raises, which is awaited before anything is written or told."""
    if not MIN_TTL_S <= wish.ttl_s <= MAX_TTL_S:
        raise ValueError(f"ttl_s is {MIN_TTL_S} to {MAX_TTL_S}")
    requested_ms = ports.clock.now_ms()
    digest = digest_of(wish)
    state, is_live = await _state_of(wish.device, ports)
    keys = await ports.keys.load([wish.device.device_no])
    has_key = wish.device.device_no in keys
    if allowed is not None:
        await allowed
    situation = _situation(wish, state, has_key=has_key, now_ms=requested_ms, is_live=is_live)
    outcome: IssueOutcome | RefusedWish
    if against := refusals(situation, wish.override):
        # A repetition is answered with what its key stands for, whatever has become of the device since.
        known = await ports.desk.already(wish.requested_by, _key_of(wish), digest)
        outcome = RefusedWish(against) if known is None else known
    else:
        report = situation.report
        new = _new_command(wish, report, digest, requested_ms=requested_ms, is_live=is_live, ports=ports)
        outcome = await ports.desk.issue(new)
    ports.counters.issued(_name(outcome))
    return outcome


def _key_of(wish: Wish) -> str:
    """Two operators may have people of one name; neither may hear of the other's commands by a key."""
    return f"{wish.device.operator_id}:{wish.idempotency_key}"


def digest_of(wish: Wish) -> bytes:
    """SHA-256 of everything that was asked for; the same wish always has the same."""
    asked = (
        wish.device.device_id,
        wish.kind.value,
        wish.slot,
        wish.ttl_s,
        wish.claim_id,
        wish.why,
        sorted(one.value for one in wish.override),
        dict(wish.settings),
    )
    return sha256(json.encode(asked, order="deterministic")).digest()


async def _state_of(device: DeviceRecord, ports: IssuePorts) -> tuple[LiveState | None, bool]:
    """The second says whether it is the newest: Redis never decides, what was saved does as well."""
    try:
        live = await ports.live_states.get(device.device_id)
    except StoreUnavailable:
        live = None
    if live is not None and not ports.may_be_behind():
        return live, True
    saved = await ports.saved_states.saved(device.device_no)
    newest_first = sorted(filter(None, (live, saved)), key=lambda state: -state.revision)
    return (newest_first[0] if newest_first else None), False


def _newest_report(state: LiveState | None) -> Report | None:
    if state is None or not state.frame:
        return None
    try:
        return decode_report(state.frame)
    except MalformedFrame:
        # Of an earlier version: the next report mends it.
        return None


def _situation(
    wish: Wish, state: LiveState | None, *, has_key: bool, now_ms: int, is_live: bool
) -> Situation:
    return Situation(
        wish.device,
        wish.model,
        has_key,
        state,
        _newest_report(state),
        wish.kind,
        wish.slot,
        wish.claim_id,
        now_ms,
        is_live,
    )


def _new_command(
    wish: Wish,
    report: Report | None,
    digest: bytes,
    *,
    requested_ms: int,
    is_live: bool,
    ports: IssuePorts,
) -> NewCommand:
    now_ms = ports.clock.now_ms()
    place = None if report is None else place_in(report, wish.slot)
    return NewCommand(
        command_id=ports.new_id(),
        device=wish.device,
        firmware=(report.firmware or "") if report is not None else "",
        kind=wish.kind,
        slot=wish.slot,
        settings=wish.settings,
        requested_ms=requested_ms,
        issued_ms=now_ms,
        not_after_ms=(now_ms // 1000 + wish.ttl_s) * 1000,
        requested_by=wish.requested_by,
        why=wish.why,
        idempotency_key=_key_of(wish),
        request_digest=digest,
        claim_id=wish.claim_id,
        last_fence=place.last_fence if place is not None else 0,
        # A saved state may be older than the last opening: no count is better than a wrong one.
        openings_before=place.openings if place is not None and is_live else None,
        unit_before=place.unit_id if place is not None else "",
    )


def _name(outcome: IssueOutcome | RefusedWish) -> str:
    match outcome:
        case Issued(repeated=True):
            return "repeated"
        case Issued():
            return "issued"
        case RefusedWish():
            return "refused"
        case KeyReused():
            return "key_reused"
        case DeviceChanged():
            return "device_changed"
        case _:
            return "slot_busy"
