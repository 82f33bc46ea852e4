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
import logging
logging.getLogger("a.library").info("request by request")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("a.library").exception("it %s", "failed")
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
    logged, of_a_library = map(json.loads, done.stderr.splitlines())
    assert (logged["event"], logged["level"], logged["reason"]) == ("store_unavailable", "warning", "gone")
    assert logged["at"].endswith("Z")
    assert (of_a_library["event"], of_a_library["logger"]) == ("it failed", "a.library")
    assert (of_a_library["level"], of_a_library["at"].endswith("Z")) == ("error", True)
    assert "ZeroDivisionError" in of_a_library["exception"]
    assert done.stdout == ""
