"""What a trial came to: promises that were broken, and figures against their targets."""

from collections.abc import Mapping

from msgspec import Struct, field


class Figure(Struct, frozen=True):
    """One measured value and the most it may be."""

    name: str
    value: float
    at_most: float
    timed: bool = True
    """Depends on how busy the machine is: patience stretches it."""

    def holds(self, patience: float) -> bool:
        return self.value <= self.at_most * (patience if self.timed else 1.0)

    def __str__(self) -> str:
        return f"{self.name} {self.value:.4g} (at most {self.at_most:g})"


class Findings(Struct):
    """Filled while a trial runs and after it."""

    strikes: int = 0
    wrong: dict[str, int] = field(default_factory=dict)
    """Must all be zero."""
    examples: dict[str, str] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    """For the person who reads."""

    def count(self, what: str, found: int, example: object = "") -> None:
        """Notes how often something happened that must not."""
        self.wrong[what] = self.wrong.get(what, 0) + found
        if found and what not in self.examples:
            self.examples[what] = str(example)

    def expect(self, what: str, found: object, expected: object) -> None:
        """Notes a difference."""
        self.count(what, int(found != expected), f"{found!r} instead of {expected!r}")

    def measure(self, name: str, value: float, *, at_most: float, timed: bool = True) -> None:
        """Keeps the worst value of each name."""
        before = self.figures.get(name)
        if before is None or value > before.value:
            self.figures[name] = Figure(name, value, at_most, timed)

    def take(self, wrong: Mapping[str, int], examples: Mapping[str, str]) -> None:
        """Another judge's counts."""
        for what, found in wrong.items():
            self.count(what, found, examples.get(what, ""))

    def broken(self, patience: float = 1.0) -> list[str]:
        """Everything that does not hold, in words."""
        complaints = [
            f"{what}: {found} {self.examples.get(what, '')}".rstrip()
            for what, found in self.wrong.items()
            if found
        ]
        return complaints + [str(figure) for figure in self.figures.values() if not figure.holds(patience)]

    def __str__(self) -> str:
        figures = [str(figure) for figure in self.figures.values()]
        return "; ".join([f"{self.strikes} strikes", *self.said, *figures])
