"""Damaged frames by the hundred thousand: no reader of latchkey.h leaves its frame, and no damage is taken."""

import json
import subprocess
from pathlib import Path

from tests.unit.firmware_protocol.c.compiled import ENVIRONMENT, SANITIZED, SOURCES, build, sanitized
from tests.vectors import regenerate

ITERATIONS = 200_000
MOST_CPU_S = 20
CHANNELS = {"command": "cmd", "welcome": "welcome"}


def seeds() -> str:
    signed = json.loads((regenerate.FOLDER / "signed_frames.json").read_text())["valid"]
    plain = json.loads((regenerate.FOLDER / "valid_frames.json").read_text())
    lines = [
        f"{CHANNELS[v['message']]} {v['hex']}"
        for v in signed
        if v["message"] in CHANNELS and v["device_id"] == "bike-000123" and v["keys"] == [7]
    ]
    lines += [f"receipt {v['hex']}" for v in plain if v["message"] == "receipt" and v["hex"][0] in "ab"]
    return "\n".join(lines)


def test_damaged_frames_are_read_within_their_bounds(tmp_path: Path) -> None:
    program = build(SOURCES / "fuzz.c", into=tmp_path / "fuzz", options=(*SANITIZED, "-O1"))
    run = subprocess.run(
        sanitized(program, str(ITERATIONS), str(MOST_CPU_S), "1"),
        input=seeds(),
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    done, taken = map(int, run.stdout.split())
    assert done >= 10_000
    # Some damage leaves a sound frame: then what is behind the readers is met too.
    assert taken > done // 100
