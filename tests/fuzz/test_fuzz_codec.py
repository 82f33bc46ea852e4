"""The fuzz target holds for its seeds always, and for SECONDS of mutations when LATCHKEY_FUZZ_S says so."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.codec_target import check_frame, check_topic, seed_frames

FUZZ_S = int(os.environ.get("LATCHKEY_FUZZ_S", "0"))


def test_every_seed_holds() -> None:
    for seed in seed_frames():
        check_topic(seed[1:])
        for which in range(4):
            check_frame(which, seed[1:])


@pytest.mark.skipif(not FUZZ_S, reason="fuzzing is on demand: ./latchkey test --fuzz SECONDS")
def test_mutated_seeds_hold(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.fail("atheris is missing: .venv/bin/pip install --require-hashes -r requirements-fuzz.lock")
    script = Path(__file__).with_name("fuzz_codec.py")
    run = subprocess.run(
        [sys.executable, script, f"-max_total_time={FUZZ_S}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=FUZZ_S * 2 + 300,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4000:]
