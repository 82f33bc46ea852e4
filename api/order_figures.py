"""What people and programs made of orders in this process, for its metrics."""

from collections import Counter
from typing import Final


class OrderFigures:
    """Implements `gateway.command_counters.WishCounter`. The gateway counts what becomes of commands; what is judged
    before there is one, and what a person ends, it never sees happen."""

    def __init__(self) -> None:
        self.wishes: Final[Counter[str]] = Counter()
        self.ended: Final[Counter[str]] = Counter()

    def issued(self, outcome: str) -> None:
        """A wish was judged."""
        self.wishes[outcome] += 1

    def ended_by_a_person(self, phase: str) -> None:
        """cancelled or abandoned."""
        self.ended[phase] += 1
