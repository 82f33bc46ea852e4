import os
import subprocess
import sys

from cli.stack import CHECKOUT


def test_without_settings_it_ends_at_once_and_names_what_is_missing() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LATCHKEY_")}
    done = subprocess.run(
        [sys.executable, "-m", "cli", "gateway"],
        cwd=CHECKOUT,
        env={**environment, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "POSTGRES_DSN" in done.stdout + done.stderr
