"""The promises about commands, each a function of a world that has come to rest: what broke it, in words."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from uuid import UUID

from firmware_protocol.commands import FENCED
from gateway.command_ports import CommandRecord, Issued, KeyReused
from gateway.commands.frames import probe_id
from gateway.commands.in_flight import PROBE_FRESH_MS
from gateway.core.answer import BEGUN_IN_TIME_MS
from gateway.core.command import SAFETY, SENSED, SETTLED, Phase, SafetyClass
from gateway.core.device import Quirk
from tests.simulation.tempers import RULE_BREAKERS, Execution
from tests.simulation.world import World

Law = Callable[[World], Iterator[str]]


def never_twice(world: World) -> Iterator[str]:
    """No conforming device executes a command twice."""
    for command_id, count in Counter(one.command.command_id for one in _obedient(world)).items():
        if count > 1:
            yield f"{command_id.hex()} was executed {count} times"


def never_late(world: World) -> Iterator[str]:
    """No conforming device executes a command after `not_after`, however wrong the clock of a gateway is."""
    for one in _obedient(world):
        if one.began_ms >= one.command.not_after_s * 1000:
            yield f"{one.command.command_id.hex()} was executed at {one.began_ms}"


def never_an_old_fence(world: World) -> Iterator[str]:
    """No conforming device executes a command whose fence is not above the last one of its slot."""
    for one in _obedient(world):
        if one.command.kind in FENCED and one.command.fence <= one.fence_before:
            yield f"fence {one.command.fence} was executed after {one.fence_before}"


def never_unordered(world: World) -> Iterator[str]:
    """What is executed was issued, for that device, and recorded as sent."""
    for one in _executions(world):
        record = _record(world, one)
        if record is None:
            # A probe is a question, not an act.
            if one.command.kind in FENCED:
                yield f"{one.command.command_id.hex()} was never issued"
        elif record.sent_ms is None or record.device_id != one.device_id:
            yield f"{record.command_id} was executed by {one.device_id} and is {record.phase}"


def every_command_ends(world: World) -> Iterator[str]:
    """Every command is settled or UNCONFIRMED."""
    for record in world.stores.commands.rows.values():
        if record.phase not in SETTLED | {Phase.UNCONFIRMED}:
            yield f"{record.command_id} is {record.phase}"


def what_was_not_sent_is_not_unconfirmed(world: World) -> Iterator[str]:
    """UNCONFIRMED is said of nothing but what may have reached the device, EXPIRED of nothing else."""
    for record in world.stores.commands.rows.values():
        if record.sent_ms is None and record.phase not in (Phase.EXPIRED, Phase.CANCELLED):
            yield f"{record.command_id} was never sent and is {record.phase}"
        if record.sent_ms is not None and record.phase in (Phase.EXPIRED, Phase.CANCELLED):
            yield f"{record.command_id} was sent and is {record.phase}"


def misdeeds_are_reported(world: World) -> Iterator[str]:
    """A late or double execution is an incident once the device has told of it."""
    reported = Counter(incident.command_id for incident in world.stores.commands.incidents)
    executed = Counter(one.command.command_id for one in _executions(world))
    for one in _executions(world):
        record, device = _record(world, one), world.devices[one.device_id]
        if record is None or one.power_on < device.power_ons:
            # Power went before it could tell.
            continue
        limit_ms = record.not_after_ms + BEGUN_IN_TIME_MS + max(map(abs, world.skews)) + _CLOSE_MS
        if (
            one.began_ms >= limit_ms
            and record.phase is not Phase.EXECUTED_LATE
            and not reported[record.command_id]
        ):
            yield f"{record.command_id} was executed late, is {record.phase}, and nobody knows"
        opened_twice = executed[one.command.command_id] > 1 and SAFETY[record.kind] is SafetyClass.ONE_SHOT
        if opened_twice and record.openings_before is not None and not reported[record.command_id]:
            yield f"{record.command_id} was executed twice, is {record.phase}, and nobody knows"


def the_innocent_are_not_accused(world: World) -> Iterator[str]:
    """No incident names a command of a conforming device."""
    for incident in world.stores.commands.incidents:
        record = world.stores.commands.rows[incident.command_id] if incident.command_id else None
        if record is not None and world.devices[record.device_id].temper not in RULE_BREAKERS:
            yield f"{record.command_id}: {incident.kind} {dict(incident.detail)}"


def settled_as_it_was(world: World) -> Iterator[str]:
    """Of a conforming device CONFIRMED means that it was executed; FAILED, REFUSED and EXPIRED that it was not."""
    executed = {one.command.command_id for one in _obedient(world)}
    for record in world.stores.commands.rows.values():
        if world.devices[record.device_id].temper in RULE_BREAKERS or record.kind not in _OPENING_KINDS:
            continue
        was = record.command_id.bytes in executed
        if record.phase is Phase.CONFIRMED and not was:
            yield f"{record.command_id} is confirmed and was not executed"
        if was and record.phase in (Phase.FAILED, Phase.REFUSED, Phase.EXPIRED, Phase.CANCELLED):
            yield f"{record.command_id} is {record.phase} ({record.reason}) and was executed"


def one_at_a_time(world: World) -> Iterator[str]:
    """At most one unsettled one-shot per slot, at any time: the spans between issue and end do not overlap."""
    spans: dict[tuple[int, int], list[CommandRecord]] = {}
    for record in world.stores.commands.rows.values():
        if SAFETY[record.kind] is SafetyClass.ONE_SHOT:
            spans.setdefault((record.device_no, record.slot), []).append(record)
    for records in spans.values():
        for before, after in pairwise(records):
            if before.phase not in SETTLED:
                yield f"{after.command_id} was issued while {before.command_id} is {before.phase}"


def one_key_one_command(world: World) -> Iterator[str]:
    """The same Idempotency-Key with the same wish is one command, whoever is told of it."""
    for asked in world.asked:
        told = {one.command.command_id for one in asked.outcomes if isinstance(one, Issued)}
        if len(told) > 1 or any(isinstance(one, KeyReused) for one in asked.outcomes):
            yield f"{asked.key} stands for {len(told)} commands"


def fences_rise(world: World) -> Iterator[str]:
    """Strictly, per device, in the order of issue."""
    last: Counter[int] = Counter()
    for record in world.stores.commands.rows.values():
        if record.fence <= last[record.device_no]:
            yield f"{record.command_id} has fence {record.fence} after {last[record.device_no]}"
        last[record.device_no] = record.fence


def an_ack_confirms_nothing_sensed(world: World) -> Iterator[str]:
    """CONFIRMED stands after a line of evidence wherever a sensor could say something."""
    for record in world.stores.commands.rows.values():
        lines = [line.what for line in world.stores.commands.lines[record.command_id]]
        if record.phase is Phase.CONFIRMED and record.kind in SENSED and "evidence" not in lines:
            yield f"{record.command_id} ({record.kind.name}) was confirmed by {lines}"


def settled_once(world: World) -> Iterator[str]:
    """Nothing leaves a settled phase."""
    for command_id, lines in world.stores.commands.lines.items():
        ends = [line.phase for line in lines if line.phase in SETTLED]
        if len(set(ends)) > 1:
            yield f"{command_id} was {', then '.join(ends)}"


def sent_before_published(world: World) -> Iterator[str]:
    """No frame leaves before SENT is recorded."""
    for command_id, lines in world.stores.commands.lines.items():
        whats = [line.what for line in lines]
        for what in ("published", "published_again", "device_ack"):
            if what in whats and ("claimed" not in whats or whats.index("claimed") > whats.index(what)):
                yield f"{command_id}: {what} before claimed"


def what_is_unsafe_to_repeat_is_sent_once(world: World) -> Iterator[str]:
    """A one-shot leaves once for a model that would execute a second copy, or an expired one."""
    for record in _one_shots_of(world, Quirk.DUP_UNSAFE, Quirk.IGNORES_TTL):
        if len(_left_at(world, record.command_id)) > 1:
            yield f"{record.command_id} was sent again to a {record.model}"


def who_ignores_expiry_is_asked_first(world: World) -> Iterator[str]:
    """A one-shot leaves for such a model only within seconds after a probe."""
    for record in _one_shots_of(world, Quirk.IGNORES_TTL):
        asked = [at for number in range(1, 20) for at in _left_at(world, probe_id(record, number))]
        for at in _left_at(world, record.command_id):
            if not any(0 <= at - before <= PROBE_FRESH_MS for before in asked):
                yield f"{record.command_id} was sent to a {record.model} that nobody had asked"


LAWS: tuple[Law, ...] = (
    never_twice,
    never_late,
    never_an_old_fence,
    never_unordered,
    every_command_ends,
    what_was_not_sent_is_not_unconfirmed,
    misdeeds_are_reported,
    the_innocent_are_not_accused,
    settled_as_it_was,
    one_at_a_time,
    one_key_one_command,
    fences_rise,
    an_ack_confirms_nothing_sensed,
    settled_once,
    sent_before_published,
    what_is_unsafe_to_repeat_is_sent_once,
    who_ignores_expiry_is_asked_first,
)

_CLOSE_MS = 1_000
"""How far from the limit a device's clock may be and still be believed."""
_OPENING_KINDS = frozenset(kind for kind, safety in SAFETY.items() if safety is SafetyClass.ONE_SHOT)


def broken(world: World) -> list[str]:
    """Every law that was broken, with what broke it."""
    return [f"{law.__name__}: {what}" for law in LAWS for what in law(world)]


def _one_shots_of(world: World, *quirks: Quirk) -> Iterator[CommandRecord]:
    for record in world.stores.commands.rows.values():
        model = world.stores.registry.model(record.model)
        if SAFETY[record.kind] is SafetyClass.ONE_SHOT and not set(quirks).isdisjoint(model.quirks):
            yield record


def _left_at(world: World, command_id: UUID) -> list[int]:
    return [at for at, frame in world.network.published if command_id.bytes in frame]


def _executions(world: World) -> list[Execution]:
    return [one for device in world.devices.values() for one in device.executions]


def _obedient(world: World) -> list[Execution]:
    return [one for one in _executions(world) if world.devices[one.device_id].temper not in RULE_BREAKERS]


def _record(world: World, one: Execution) -> CommandRecord | None:
    records = world.stores.commands.rows.values()
    return next((record for record in records if record.command_id.bytes == one.command.command_id), None)
