"""Servers, gateway and API for a person at a terminal: up until they are told to stop, and gone afterwards."""

import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from cli.stack import CHECKOUT, STATE_FOLDER
from tests.support.waiting import until


@pytest.fixture
def place() -> Path:
    """Where this test's servers keep their data."""
    return STATE_FOLDER / "tests" / f"up-{os.getpid()}"


def is_ready(page: str) -> bool:
    try:
        with urllib.request.urlopen(page + "readyz", timeout=30) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as refused:
        refused.close()
        return False


def test_up_serves_until_it_is_told_to_stop_and_leaves_nothing_running(place: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LATCHKEY_")}
    out = tmp_path / "out"
    with out.open("wb") as written:
        child = subprocess.Popen(
            [sys.executable, "-m", "cli", "up", "--port", "0", "--data", str(place)],
            cwd=CHECKOUT,
            env={**environment, "PYTHONPATH": str(CHECKOUT)},
            stdout=written,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: "Ctrl-C" in out.read_text() or child.poll() is not None, deadline_s=120)
        said = out.read_text()
        assert child.poll() is None, said
        page = next(line.split()[1] for line in said.splitlines() if line.startswith("page"))
        until(lambda: is_ready(page), what="the API serves a map that is filled")
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 128 + signal.SIGTERM
    finally:
        child.kill()
        child.wait()
        shutil.rmtree(place, ignore_errors=True)
