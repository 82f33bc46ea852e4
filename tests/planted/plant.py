"""A classic mistake as a small change of the source, with the test that must notice it."""

from typing import NamedTuple


class Edit(NamedTuple):
    """One change of one file. `old` occurs there exactly once."""

    path: str
    old: str
    new: str


class Plant(NamedTuple):
    """One mistake."""

    name: str
    why: str
    """What it would cost."""
    test: str
    """The pytest node that turns red."""
    edits: tuple[Edit, ...]
