"""A test that waits for what never comes ends, says where it stood, and the next one runs."""

import subprocess
import sys
from pathlib import Path

from cli.stack import CHECKOUT

HANGING = """
import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize("way", ["one", "other"])
async def test_hangs(way: str) -> None:
    await asyncio.Event().wait()


@settings(deadline=None, max_examples=1)
@given(st.none())
async def test_property_hangs(_: None) -> None:
    await asyncio.Event().wait()


async def test_next() -> None:
    await asyncio.sleep(0)
"""


def test_an_async_test_that_hangs_ends_and_the_next_one_runs(tmp_path: Path) -> None:
    (tmp_path / "test_hanging.py").write_text(HANGING)
    (tmp_path / "conftest.py").write_text(
        "from tests.conftest import pytest_asyncio_loop_factories, pytest_collection_modifyitems\n"
    )
    options = ["-c", str(CHECKOUT / "pyproject.toml"), "--rootdir", str(tmp_path), "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--timeout", "0.3", "-q", str(tmp_path)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "3 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("await asyncio.Event().wait()") >= 3
