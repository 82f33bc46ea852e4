"""The verifiers hold for their seeds and hypothesis always, and for SECONDS of mutations when LATCHKEY_FUZZ_S says."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.signed_target import KINDS, check_claims, check_input, check_signed, seed_signed, verified
from tests.vectors import signed

FUZZ_S = int(os.environ.get("LATCHKEY_FUZZ_S", "0"))
SEEDS = list(seed_signed())
which_kind = st.integers(0, len(KINDS) - 1)


def test_every_seed_holds() -> None:
    for seed in SEEDS:
        check_input(seed)
        for which in range(len(KINDS)):
            check_signed(which, seed[1:])
            check_claims(which, seed[1:])


@given(which_kind, st.binary(max_size=200) | st.sampled_from(SEEDS).map(lambda seed: seed[1:]))
def test_any_bytes_are_refused_in_one_of_two_ways(which: int, frame: bytes) -> None:
    check_signed(which, frame)
    check_claims(which, frame)


@given(st.sampled_from(SEEDS), st.data())
def test_changed_seeds_hold(seed: bytes, data: st.DataObject) -> None:
    changed = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(1, len(changed)))
        changed[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    check_input(bytes(changed))


def test_of_a_thousand_mutated_replays_of_every_kind_none_is_taken() -> None:
    chance = Random(20)
    for sample in (sample for sample in signed.valid() if sample.device_id == signed.DEVICE):
        taken = 0
        for _ in range(1000):
            frame = bytearray(sample.frame)
            for _ in range(chance.randrange(1, 5)):
                frame[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)
            taken += bytes(frame) != sample.frame and verified(sample.message, bytes(frame)) is not None
        assert taken == 0, sample.name


@pytest.mark.skipif(not FUZZ_S, reason="fuzzing is on demand: ./latchkey test --fuzz SECONDS")
def test_mutated_seeds_hold(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.fail("atheris is missing: .venv/bin/pip install --require-hashes -r requirements-fuzz.lock")
    script = Path(__file__).with_name("fuzz_signed.py")
    run = subprocess.run(
        [sys.executable, script, f"-max_total_time={FUZZ_S}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=FUZZ_S * 2 + 300,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4000:]
