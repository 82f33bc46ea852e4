"""A dict that never outgrows its bound: what was put in first goes first."""

from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Bounded(dict[Key, Value]):
    """Use `keep` to put something in; reading is that of a dict."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def keep(self, key: Key, value: Value) -> None:
        """Puts or replaces; drops the oldest key when a new one would pass the bound."""
        if key not in self and len(self) >= self._limit:
            del self[next(iter(self))]
        self[key] = value
