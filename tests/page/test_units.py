"""The page's pure parts, tested where they run: in Node."""

import subprocess

import pytest

from cli.node import ensure_node
from cli.page import WEB, ensure_page

pytestmark = pytest.mark.page


def test_the_tests_of_the_page_pass() -> None:
    ensure_node()
    ensure_page()
    if not (WEB / "node_modules").is_dir():
        subprocess.run(["npm", "ci"], cwd=WEB, check=True, capture_output=True, timeout=100)
    done = subprocess.run(["npm", "test"], cwd=WEB, check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_the_lock_file_names_no_host() -> None:
    locked = (WEB / "package-lock.json").read_text()
    assert "://" not in locked
    assert '"resolved"' not in locked
