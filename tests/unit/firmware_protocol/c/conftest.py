"""The device in C, built once per worker under the sanitizers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.firmware_protocol.c.compiled import SANITIZED, SOURCES, DeviceInC, build


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """driver.c as a program."""
    folder = tmp_path_factory.mktemp("driver")
    return build(SOURCES / "driver.c", into=folder / "driver", options=SANITIZED)


@pytest.fixture(scope="module")
def device(driver: Path) -> Iterator[DeviceInC]:
    """One process for the tests of a module."""
    with DeviceInC(driver) as started:
        yield started
