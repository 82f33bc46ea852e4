"""How a report changes what the gateway believes of a device."""

from collections.abc import Iterable

from msgspec import Struct

from gateway.core.availability import Reasons, reported_reasons, with_silence, with_since
from gateway.core.change import charge_stands, noise_e7
from gateway.core.device import DeviceModel, DeviceRecord, Kind
from gateway.core.live_state import UNKNOWN, Claim, LiveState, MapEntry, Presence, Reason
from gateway.core.presence import heard_at_ms, presence_of
from gateway.core.stamped import StampedReport
from gateway.core.use import use_after

REBUILT_ABOVE = 1 << 20
"""A rebuilt state's revision lies this far above its base: more than a device can have gained since the base
was saved, so no revision ever names two states."""

# Looking a member up in its enumeration costs ten times as much as a global name.
_ONLINE = Presence.ONLINE
_LOST = Presence.LOST
_BIKE = Kind.BIKE
_RETURNED = int(Reason.RETURNED)


class Advanced(Struct, frozen=True, gc=False):
    """The report is the newest: this is now believed."""

    before: LiveState | None
    after: LiveState
    announce: bool
    """Maps must hear of it: `after.entry` is not what was announced before."""


class Repeated(Struct, frozen=True, gc=False):
    """The newest report has this very stamp."""


class Late(Struct, frozen=True, gc=False):
    """A newer report was applied before; this one belongs to history only."""


Outcome = Advanced | Repeated | Late

REPEATED = Repeated()
LATE = Late()


def apply_report(
    state: LiveState | None, device: DeviceRecord, model: DeviceModel, stamped: StampedReport
) -> Outcome:
    """Newest stamp wins, so any order and repetition of the same reports ends in the same reported state."""
    boot = stamped.boot
    seq = stamped.seq
    heard_ms = heard_at_ms(stamped.at_ms, stamped.received_ms)
    revision = 0
    known: Reasons = ()
    claims: tuple[Claim, ...] = ()
    shown: MapEntry | None = None
    if state is not None:
        if boot < state.boot or (boot == state.boot and seq <= state.seq):
            return REPEATED if boot == state.boot and seq == state.seq else LATE
        revision, known, claims, shown = state.revision, state.reasons, state.claims, state.entry
        if state.heard_at_ms > heard_ms:
            heard_ms = state.heard_at_ms
    presence = presence_of(heard_ms, stamped.received_ms, model)
    codes = reported_reasons(device, model, stamped, claims)
    openings, id_no, used_no = UNKNOWN, 0, 0
    if model.kind is _BIKE:
        openings, id_no, used_no, waits = use_after(state, device, stamped.report, claims)
        if waits:
            codes.append(_RETURNED)
    reasons: Reasons = with_since(codes, known, stamped.at_ms) if codes else ()
    if presence is not _ONLINE:
        reasons = with_silence(reasons, presence, heard_ms, model)
    entry = None
    if presence is not _LOST:
        entry = _entry_after(shown, device, model, stamped, reasons=reasons, claimed=bool(claims))
    after = LiveState(
        revision + 1,
        boot,
        seq,
        stamped.at_ms,
        heard_ms,
        presence,
        stamped.frame,
        reasons,
        claims,
        entry,
        openings,
        id_no,
        used_no,
    )
    return Advanced(state, after, entry is not shown)


def fold(
    base: LiveState | None, device: DeviceRecord, model: DeviceModel, newer: Iterable[StampedReport]
) -> LiveState | None:
    """The state after these reports, given in the order they were received: how a lost state is rebuilt."""
    state = base
    for stamped in newer:
        match apply_report(state, device, model, stamped):
            case Advanced(after=after):
                state = after
    return state


def _entry_after(
    shown: MapEntry | None,
    device: DeviceRecord,
    model: DeviceModel,
    stamped: StampedReport,
    *,
    reasons: Reasons,
    claimed: bool,
) -> MapEntry | None:
    """What maps show now: the very entry they show already while nothing differs beyond noise."""
    report = stamped.report
    fix = report.fix
    if fix is not None:
        lat_e7, lon_e7, noise = fix.lat_e7, fix.lon_e7, noise_e7(fix.accuracy_m, report.moving)
    elif device.home_lat_e7 is not None and device.home_lon_e7 is not None:
        lat_e7, lon_e7, noise = device.home_lat_e7, device.home_lon_e7, 0
    else:
        return None
    units = stamped.units if model.kind is not _BIKE else int(not reasons)
    if (
        shown is not None
        and -noise <= lat_e7 - shown.lat_e7 <= noise
        and -noise <= lon_e7 - shown.lon_e7 <= noise
        and shown.reasons == reasons
        and shown.units == units
        and shown.spaces == stamped.spaces
        and charge_stands(shown.battery_pct, report.battery_pct)
        and shown.claimed is claimed
        and shown.public_id == device.public_id
        and shown.marker == device.marker
        and shown.operator_id == device.operator_id
    ):
        return shown
    return MapEntry(
        device.device_id,
        device.public_id,
        device.marker,
        device.operator_id,
        model.kind,
        lat_e7,
        lon_e7,
        not reasons,
        reasons,
        report.battery_pct,
        units,
        stamped.spaces,
        claimed,
        stamped.at_ms,
    )
