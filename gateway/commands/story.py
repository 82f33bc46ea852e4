"""What facts make of one command: the next move, built line by line."""

from collections.abc import Mapping

from gateway.command_ports import CommandRecord, Incident, Move, TimelineEntry
from gateway.core.command import SETTLED, Happening, Phase, advance

Detail = Mapping[str, bool | int | str]
NO_DETAIL: Detail = {}


class Story:
    """Facts are told in their order; what changes nothing and says nothing new leaves no trace."""

    def __init__(
        self,
        command: CommandRecord,
        lines: tuple[TimelineEntry, ...] = (),
        known: frozenset[str] = frozenset(),
    ) -> None:
        """`known` kinds of incident are not told again."""
        self._known = known
        self._command = command
        self._happening: Happening | None = None
        self._entries = list(lines)
        self._incidents: list[Incident] = []
        self._reason = ""
        self.phase: Phase = command.phase
        """After what was told so far."""

    @property
    def is_settled(self) -> bool:
        return self.phase in SETTLED

    def happens(
        self, happening: Happening, at_ms: int, what: str, detail: Detail = NO_DETAIL, *, reason: str = ""
    ) -> bool:
        """Advances by the table and adds the line; False, without a trace, when nothing changes."""
        after = advance(self.phase, happening)
        if after is None:
            return False
        self.phase, self._happening = after, happening
        self._reason = reason or self._reason
        self.says(at_ms, what, {**detail, "reason": reason} if reason else detail)
        if self.is_settled:
            self.says(at_ms, "settled", {"after_ms": at_ms - self._command.issued_ms})
        return True

    def says(self, at_ms: int, what: str, detail: Detail = NO_DETAIL) -> None:
        """A line that changes nothing."""
        self._entries.append(TimelineEntry(at_ms, what, self.phase, detail))

    def incident(self, kind: str, at_ms: int, detail: Detail = NO_DETAIL) -> None:
        """Something that must never happen; the store keeps one per kind."""
        command = self._command
        if kind not in self._known and all(one.kind != kind for one in self._incidents):
            found = Incident(command.device_no, command.operator_id, kind, at_ms, command.command_id, detail)
            self._incidents.append(found)
            self.says(at_ms, "incident", {**detail, "kind": kind})

    def move(self) -> Move | None:
        """None when nothing was told."""
        if not self._entries and self._happening is None:
            return None
        command = self._command
        return Move(
            command.command_id,
            command.revision,
            self._happening,
            self.phase,
            tuple(self._entries),
            self._reason,
            tuple(self._incidents),
        )
