"""Logs are JSON lines on stderr from the asked level on."""

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import structlog
from api.logs import log_to_stderr
log_to_stderr("warning")
structlog.get_logger().info("too_small")
structlog.get_logger().warning("store_unavailable", reason="gone")
"""


def test_events_below_the_level_are_left_out() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (line,) = done.stderr.splitlines()
    logged = json.loads(line)
    assert (logged["event"], logged["level"], logged["reason"]) == ("store_unavailable", "warning", "gone")
    assert done.stdout == ""
