"""What a file of trips held, for whoever brought it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TripCount:
    """Of one file and the fleet that rides it."""

    trips: int
    bikes: int
    riding_bikes: int
    """Fewer than the file has when the fleet is smaller, or when they have no trip after --from-hour."""
    refused_rows: int
    first_refused: str
    """`line 302: start 'oops' is no time`; empty when no row was refused."""

    def text(self) -> str:
        """For a person, in one sentence."""
        said = f"{_counted(self.trips, 'trip')} of {_counted(self.bikes, 'bike')}"
        if self.riding_bikes < self.bikes:
            said += f", {self.riding_bikes} of which {'rides' if self.riding_bikes == 1 else 'ride'}"
        return said + (
            f"; {refused_text(self.refused_rows, self.first_refused)}" if self.refused_rows else ""
        )


def refused_text(rows: int, first: str) -> str:
    """How many rows were refused, and of one of them where and why: the others mostly have the same fault."""
    return f"{_counted(rows, 'row')} refused, {'in' if rows == 1 else 'the first in'} {first}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
