"""Coverage-guided fuzzing of signed frames: `python tests/fuzz/fuzz_signed.py -max_total_time=SECONDS`.

Needs atheris, which is locked in requirements-fuzz.lock and not part of the other environments.
"""

import importlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

# Neither installed where types are checked, nor typed.
atheris: Any = importlib.import_module("atheris")

with atheris.instrument_imports(include=["firmware_protocol"]):
    from tests.fuzz.signed_target import check_input, seed_signed


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="latchkey-fuzz-") as folder:
        for number, seed in enumerate(seed_signed()):
            (Path(folder) / f"seed{number:04d}").write_bytes(seed)
        atheris.Setup([sys.argv[0], folder, *sys.argv[1:], "-max_len=2200"], check_input)
        # Fuzz() leaves by os._exit, so the folder is handed to a parent that outlives it.
        child = os.fork()
        if child == 0:
            atheris.Fuzz()
        _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
