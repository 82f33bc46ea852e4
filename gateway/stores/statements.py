"""The SQL files beside the stores, read once when a store is imported."""

from pathlib import Path

_FOLDER = Path(__file__).parent / "sql"


def statement(name: str) -> bytes:
    """The text of `sql/NAME.sql`, as psycopg takes it."""
    return (_FOLDER / f"{name}.sql").read_bytes()
