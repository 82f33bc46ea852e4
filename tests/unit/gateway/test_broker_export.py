"""The broker's files are replaced whole, only when they say something new, and the broker hears of it."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

from gateway.broker_export import (
    DENIED_NAME,
    POLL_S,
    REVOKED_NAME,
    RIGHTS_NAME,
    TELL_EVERY_S,
    BrokerExport,
    BrokerFiles,
    BrokerLists,
    denying,
    tell_broker,
)
from gateway.ports import StoreUnavailable
from tests.support.fakes.clock import FakeClock

Answer = TypeVar("Answer")


class Source:
    """Lists that change when they are told to."""

    def __init__(self) -> None:
        self.lines = ["a:$7$1$x$y\n"]
        self.denied: list[str] = []
        self.revoked = ""
        self.changed = True
        self.away = False
        self.forced = 0

    async def export(
        self, write: Callable[[BrokerLists], Awaitable[Answer]], *, force: bool
    ) -> Answer | None:
        if self.away:
            raise StoreUnavailable("gone")
        self.forced += force
        if not (self.changed or force):
            return None
        answer = await write(BrokerLists(self._pieces(), self.revoked, self.denied))
        self.changed = False
        return answer

    async def _pieces(self) -> AsyncIterator[bytes]:
        for line in self.lines:
            yield line.encode()


def step(export: BrokerExport) -> bool:
    """One look, whether the broker was given something new."""
    return asyncio.run(export.step())


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "devices.passwords"


@pytest.fixture
def export(source: Source, path: Path) -> BrokerExport:
    return BrokerExport(source, BrokerFiles(path), None, FakeClock())


def test_a_first_look_writes_and_a_second_finds_nothing_new(
    source: Source, path: Path, export: BrokerExport
) -> None:
    assert step(export)
    assert path.read_text() == "a:$7$1$x$y\n"
    assert path.stat().st_mode & 0o777 == 0o600
    source.changed = True
    before = path.stat().st_ino
    assert not step(export), "the same list is no news to the broker"
    assert path.stat().st_ino == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_file_that_someone_else_replaced_is_written_again(
    source: Source, path: Path, export: BrokerExport
) -> None:
    step(export)
    path.write_text("mallory:$7$1$x$y\n")
    assert step(export)
    assert path.read_text() == "a:$7$1$x$y\n"
    path.unlink()
    assert step(export)
    assert source.forced == 3


def test_those_who_are_denied_stand_before_everybodys_rights(
    source: Source, path: Path, export: BrokerExport
) -> None:
    (path.parent / RIGHTS_NAME).write_text("pattern write lk/v1/+/%u/report\n")
    source.denied, source.revoked = ["bike-1"], "PEM"
    step(export)
    assert (path.parent / REVOKED_NAME).read_text() == "PEM"
    rules = (path.parent / DENIED_NAME).read_text()
    assert rules.startswith("user bike-1\ntopic deny lk/v1/+/bike-1/#\n")
    assert rules.endswith("pattern write lk/v1/+/%u/report\n")
    assert denying([]) == b""


def test_a_store_that_is_away_leaves_the_file_as_it_was(
    source: Source, path: Path, export: BrokerExport
) -> None:
    step(export)
    source.away = True
    assert not step(export)
    assert path.read_text() == "a:$7$1$x$y\n"


def test_a_write_that_fails_half_way_leaves_the_old_file_whole(
    source: Source, path: Path, export: BrokerExport
) -> None:
    step(export)

    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise OSError("disk full")

    source._pieces = broken  # type: ignore[method-assign]  # the second time it breaks
    source.changed = True
    assert not step(export)
    assert path.read_text() == "a:$7$1$x$y\n"
    assert [one.name for one in path.parent.iterdir()] == [path.name]


async def test_a_broker_is_told_at_most_once_in_a_while(
    source: Source, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, slept = FakeClock(), []

    async def sleep(delay_s: float) -> None:
        slept.append(delay_s)
        raise asyncio.CancelledError

    export = BrokerExport(source, BrokerFiles(path), None, clock)
    monkeypatch.setattr("gateway.broker_export.asyncio.sleep", sleep)
    running = asyncio.create_task(export.run())
    while not source.forced:
        await asyncio.wait((running,), timeout=0.01)
    export.wake()
    with suppress(asyncio.CancelledError):
        await running
    assert slept == [TELL_EVERY_S]
    assert POLL_S < TELL_EVERY_S


def test_only_a_mosquitto_is_told(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    assert not tell_broker(pid_file), "there is no such file"
    pid_file.write_text(str(os.getpid()))
    assert not tell_broker(pid_file), "a SIGHUP would end this test run"
    pid_file.write_text("rubbish")
    assert not tell_broker(pid_file)
