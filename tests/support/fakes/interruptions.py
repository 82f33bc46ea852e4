"""Where a fake may fail: before it did anything, or after it did everything and before it said so."""

from collections.abc import Callable

Raise = Callable[[], Exception | None]
"""What to raise there; a test may also just do something there, and return None."""


class Interruptions:
    """Counts the points that are passed and raises at those that were chosen."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        """Names of all points passed, in order: also tells what happened before what."""
        self._chosen: dict[int, Raise] = {}
        self._always: dict[str, Raise] = {}

    def raise_after(self, points: int, error: Raise) -> None:
        """Raises once, at the point that comes after so many more."""
        self._chosen[len(self.passed) + points] = error

    def raise_always(self, name: str, error: Raise) -> None:
        """Raises at every point of this name until `heal`."""
        self._always[name] = error

    def heal(self) -> None:
        """Nothing is raised any more."""
        self._chosen.clear()
        self._always.clear()

    async def point(self, name: str) -> None:
        """Called by the fakes around each effect."""
        self.note(name)
        chosen = self._chosen.pop(len(self.passed) - 1, None) or self._always.get(name)
        error = None if chosen is None else chosen()
        if error is not None:
            raise error

    def note(self, name: str) -> None:
        """For effects that cannot fail."""
        self.passed.append(name)
