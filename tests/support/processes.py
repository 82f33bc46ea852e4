"""Gateway and api as child processes of a test, ended with it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cli.child_process import ChildProcess, Spawn
from cli.tokens import token_of
from tests.support.nursery import forked

__all__ = ["ChildProcess", "bearer", "running"]


def bearer(process: ChildProcess, role: str = "operator_admin", *, operator_id: int = 1) -> dict[str, str]:
    """Headers of a request to this api process."""
    token = token_of(process.environment, role=role, operator_id=operator_id)
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def running(
    verb: str, environment: Mapping[str, str], folder: Path, *arguments: str, spawn: Spawn = forked
) -> Iterator[ChildProcess]:
    """A ready `gateway` or `api`, ended at the end. Two of one verb need two folders."""
    process = ChildProcess([verb, *arguments], environment, folder, spawn=spawn)
    try:
        yield process.start()
    finally:
        process.close()
