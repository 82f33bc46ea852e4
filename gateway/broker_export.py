"""The broker's files of who may connect, written from the registry and told to the broker."""

import asyncio
import filecmp
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from msgspec import Struct

from gateway import telemetry
from gateway.ports import Clock, StoreUnavailable

POLL_S = 1.0
"""A change whose notice was lost is found within this."""

TELL_EVERY_S = 2.0
"""At most: each time the broker reads its whole list and looks at everybody who is connected."""

REVOKED_NAME = "devices.crl"
DENIED_NAME = "certificates.acl"
RIGHTS_NAME = "devices.acl"
"""What the broker's folder has of everybody's rights; those who are denied stand before it."""

Answer = TypeVar("Answer")

log = telemetry.logger()


class BrokerLists(Struct, frozen=True):
    """What the broker must know."""

    passwords: AsyncIterator[bytes]
    """Whole lines of mosquitto's password file, for devices in service."""
    revoked: str
    """The signed list of revoked certificates in PEM; empty while there is no certificate authority."""
    denied: Sequence[str]
    """Devices that may have a certificate and must not act: suspended, retired, or without one that stands."""


class ListSource(Protocol):
    """Where the lists come from."""

    async def export(
        self, write: Callable[[BrokerLists], Awaitable[Answer]], *, force: bool
    ) -> Answer | None:
        """Has the lists written when they changed, or `force`; None when there was nothing to write, or another
        gateway writes. Raises StoreUnavailable."""


class BrokerFiles:
    """The files in the folder of the password file, each replaced in one step and left to their owner."""

    def __init__(self, passwords: Path) -> None:
        self._passwords = passwords
        self._seen: tuple[int, int, int] | None = None
        """What the password file was when we last looked at our own work."""

    @property
    def untouched(self) -> bool:
        """Nobody has replaced or removed the password file since it was written."""
        return self._seen is not None and self._seen == self._look()

    async def write(self, lists: BrokerLists) -> bool:
        """Whether any of them says something new. Raises OSError."""
        folder = self._passwords.parent
        changed = False
        if lists.revoked:
            changed |= await self._replace(folder / REVOKED_NAME, _once(lists.revoked.encode()))
        if rights := _read(folder / RIGHTS_NAME):
            changed |= await self._replace(folder / DENIED_NAME, _once(denying(lists.denied) + rights))
        # Last, so that whoever watches only this one finds the others in place.
        changed |= await self._replace(self._passwords, lists.passwords)
        self._seen = self._look()
        return changed

    async def _replace(self, path: Path, content: AsyncIterator[bytes]) -> bool:
        fresh = _Fresh(path, like=self._passwords)
        try:
            async for piece in content:
                fresh.write(piece)
            return await asyncio.to_thread(fresh.put)
        finally:
            fresh.forget()

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._passwords.stat()
        except FileNotFoundError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size)


class _Fresh:
    """The next content of a file, beside it until it is whole. Raises OSError."""

    def __init__(self, path: Path, *, like: Path) -> None:
        self._path = path
        self._place = path.with_name(f".{path.name}.{os.getpid()}")
        self._file = os.fdopen(os.open(self._place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        with suppress(FileNotFoundError):
            owner = like.stat()
            # The broker runs as another user when we are root.
            os.fchown(self._file.fileno(), owner.st_uid, owner.st_gid)

    def write(self, piece: bytes) -> None:
        self._file.write(piece)

    def put(self) -> bool:
        """Replaces the file, unless it says the same already."""
        self._file.close()
        if self._path.exists() and filecmp.cmp(self._place, self._path, shallow=False):
            return False
        self._place.replace(self._path)
        return True

    def forget(self) -> None:
        """Leaves nothing behind, whatever happened."""
        self._file.close()
        self._place.unlink(missing_ok=True)


class BrokerExport:
    """Keeps the files true for as long as it runs, while no other gateway does."""

    def __init__(self, source: ListSource, files: BrokerFiles, pid_file: Path | None, clock: Clock) -> None:
        self._source = source
        self._files = files
        self._pid_file = pid_file
        self._clock = clock
        self._woken = asyncio.Event()
        self._told_at_s = float("-inf")

    def wake(self) -> None:
        """Something may have changed."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._woken.clear()
            await self.step()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()
            rest_s = self._told_at_s + TELL_EVERY_S - self._clock.monotonic_s()
            if rest_s > 0:
                await asyncio.sleep(rest_s)

    async def step(self) -> bool:
        """One look; whether the broker was given something new."""
        try:
            changed = await self._source.export(self._files.write, force=not self._files.untouched)
        except (StoreUnavailable, OSError) as error:
            telemetry.BROKER_EXPORTS.labels("failed").inc()
            log.warning("broker_files_not_written", reason=str(error)[:200])
            return False
        if changed is None:
            return False
        telemetry.BROKER_EXPORTS.labels("written" if changed else "unchanged").inc()
        if changed:
            self._told_at_s = self._clock.monotonic_s()
            told = tell_broker(self._pid_file) if self._pid_file is not None else False
            log.info("broker_files_written", told=told)
        return changed


def exporting(
    source: ListSource, passwords: Path | None, pid_file: Path | None, clock: Clock
) -> BrokerExport | None:
    """None where this gateway was not told of a password file."""
    return None if passwords is None else BrokerExport(source, BrokerFiles(passwords), pid_file, clock)


def denying(device_ids: Sequence[str]) -> bytes:
    """Rules of mosquitto that leave these devices connected and take every right from them."""
    return "".join(
        f"user {device_id}\ntopic deny lk/v1/+/{device_id}/#\n\n" for device_id in device_ids
    ).encode()


def tell_broker(pid_file: Path) -> bool:
    """SIGHUP to the mosquitto whose process id the file holds; False when there is none."""
    try:
        pid = int(pid_file.read_text())
        # A file that a dead broker left must not end a stranger.
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        if name != "mosquitto":
            log.warning("broker_not_told", reason=f"process {pid} is not mosquitto")
            return False
        os.kill(pid, signal.SIGHUP)
    except (OSError, ValueError) as error:
        log.warning("broker_not_told", reason=str(error))
        return False
    return True


def _read(path: Path) -> bytes:
    """Empty when there is no such file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
