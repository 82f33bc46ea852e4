"""The device in C, built once for all workers under the sanitizers."""

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.firmware_protocol.c.compiled import SANITIZED, SOURCES, DeviceInC, build


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """driver.c as a program, of the worker that asks first."""
    own = tmp_path_factory.getbasetemp()
    folder = own if worker_id == "master" else own.parent
    program = folder / "driver"
    with (folder / "driver.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            build(SOURCES / "driver.c", into=folder / "driver.new", options=SANITIZED).rename(program)
    return program


@pytest.fixture(scope="module")
def device(driver: Path) -> Iterator[DeviceInC]:
    """One process for the tests of a module."""
    with DeviceInC(driver) as started:
        yield started
