"""Facts about commands, told to the store until each is told or proves nothing any more."""

from collections.abc import Callable, Mapping
from uuid import UUID

from msgspec import Struct

from gateway.command_counters import CommandCounters
from gateway.command_ports import CommandRecord, CommandStore, HeardAck, Move, TimelineEntry
from gateway.commands.answers import judge_answers, word_of
from gateway.commands.in_flight import deadline_of
from gateway.commands.open_commands import OpenCommand, OpenCommands
from gateway.commands.story import Story
from gateway.core.command import SETTLED, Happening, Phase
from gateway.ports import StoreUnavailable

MAX_ROUNDS = 8
"""A command moves a handful of times in its life: more mismatches than that mean that the store is not well."""

ENDS = SETTLED | {Phase.UNCONFIRMED}

Telling = Callable[[Story, OpenCommand], None]
"""Judges a command as it is now; called again with what another has made of it."""


class _Judged(Struct, frozen=True):
    """What one command comes to, and what of it was taken into account."""

    move: Move | None
    lines: tuple[TimelineEntry, ...]
    answers: tuple[HeardAck, ...]


class MovePorts(Struct, frozen=True):
    """What moving needs of the world."""

    store: CommandStore
    open: OpenCommands
    counters: CommandCounters


async def tell(tellings: Mapping[UUID, Telling], ports: MovePorts) -> None:
    """Committed on return, but for what is given up before its day is over by the store's clock. Commands must be known
    to `ports.open`; what is told twice changes nothing. Raises StoreUnavailable: tell the same again."""
    if tellings:
        # An ack and the report after it arrive at once: judged side by side, one of them would be judged again.
        async with ports.open.moving:
            await _tell(tellings, ports)


async def _tell(tellings: Mapping[UUID, Telling], ports: MovePorts) -> None:
    remaining = dict(tellings)
    for _ in range(MAX_ROUNDS):
        told = {command_id: _judged(command_id, telling, ports) for command_id, telling in remaining.items()}
        moves = [judged.move for judged in told.values() if judged.move is not None]
        moved = await ports.store.move(moves) if moves else {}
        _learn(moved, told, ports)
        left = [move.command_id for move in moves if move.command_id not in moved]
        if not left:
            return
        records = await ports.store.reread(left)
        for record in records.values():
            if ports.open.get(record.command_id) is not None:
                ports.open.learn(record)
        # One that nobody else has moved is not to be moved yet, by the clock of the store.
        judged_at = {move.command_id: move.from_revision for move in moves}
        unmoved = {one for one in left if one in records and records[one].revision == judged_at[one]}
        remaining = {command_id: remaining[command_id] for command_id in left if command_id not in unmoved}
    raise StoreUnavailable("commands keep moving while they are judged")


def nothing_more(story: Story, one: OpenCommand) -> None:
    """What waits, lines and answers of the device, goes with whatever is told: here by itself."""


def waited_long_enough(now_ms: int, story: Story, one: OpenCommand) -> None:
    """The end of waiting, if it is over in the phase the command has by now."""
    record = one.record
    end = deadline_of(record.phase, record.issued_ms, record.not_after_ms)
    if end is None or end[0] > now_ms:
        return
    if end[1] is Happening.ABANDON:
        story.happens(Happening.ABANDON, now_ms, "abandoned", reason="silent_for_a_day")
    elif record.phase is Phase.ISSUED:
        story.happens(
            Happening.DEADLINE, now_ms, "expired", reason="no_probe_answer" if one.probe else "not_sent"
        )
    else:
        story.happens(Happening.DEADLINE, now_ms, "deadline", reason="silence")


def _judged(command_id: UUID, telling: Telling, ports: MovePorts) -> _Judged:
    one = ports.open.get(command_id)
    if one is None:
        # Its lane was lost in between: whoever has it now judges.
        return _Judged(None, (), ())
    story = Story(one.record, one.lines, one.incidents)
    if one.answers:
        judge_answers(story, one)
    telling(story, one)
    return _Judged(story.move(), one.lines, one.answers)


def _learn(moved: Mapping[UUID, CommandRecord], told: Mapping[UUID, _Judged], ports: MovePorts) -> None:
    for command_id, judged in told.items():
        one, record = ports.open.get(command_id), moved.get(command_id)
        if record is not None:
            _learn_moved(one, record, judged, ports)
        if one is not None and judged.answers and (record is not None or judged.move is None):
            one.answered = word_of(judged.answers[-1])
            # Another may have come while the store worked.
            one.answers = tuple(heard for heard in one.answers if heard not in judged.answers)
            ports.open.answers_told()


def _learn_moved(one: OpenCommand | None, record: CommandRecord, judged: _Judged, ports: MovePorts) -> None:
    kinds = frozenset(incident.kind for incident in (judged.move.incidents if judged.move else ()))
    was = one.record.phase if one is not None else record.phase
    if one is not None:
        # Lines may have been added while the store worked.
        one.lines = one.lines[len(judged.lines) :]
        one.incidents |= kinds
        ports.open.learn(record)
    if record.phase in ENDS and was is not record.phase:
        ports.counters.ended(record)
    for kind in sorted(kinds):
        ports.counters.incident(kind)
