"""Gateway and api as child processes of a test, ended with it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cli.child_process import ChildProcess

__all__ = ["ChildProcess", "running"]


@contextmanager
def running(
    verb: str, environment: Mapping[str, str], folder: Path, *arguments: str
) -> Iterator[ChildProcess]:
    """A ready `gateway` or `api`, ended at the end. Two of one verb need two folders."""
    process = ChildProcess([verb, *arguments], environment, folder)
    try:
        yield process.start()
    finally:
        process.close()
