"""What is installed is locked with hashes, and no version is one that is known to be weak."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-fuzz.lock", "requirements-page.lock")

FLOORS = {
    "starlette": ((0, 49, 1), "CVE-2025-62727: a Range header that costs the server quadratic time"),
    "pyjwt": ((2, 10, 1), "CVE-2024-53861: an issuer that was only part of the wanted one"),
    "cryptography": ((44, 0, 1), "CVE-2024-12797: a bundled OpenSSL that missed a failed handshake"),
    "jinja2": ((3, 1, 6), "CVE-2025-27516: a way out of its sandbox"),
    "h11": ((0, 16, 0), "CVE-2025-43859: chunks that end as they should not"),
    "werkzeug": ((3, 0, 6), "CVE-2024-49767: forms that fill the memory"),
    "requests": ((2, 32, 4), "CVE-2024-47081: passwords told to another host"),
    "urllib3": ((2, 5, 0), "CVE-2025-50181: redirects that were switched off"),
    "redis": ((4, 5, 4), "CVE-2023-28859: a cancelled call that gives the next caller its answer"),
    "idna": ((3, 7), "CVE-2024-3651: a name that takes minutes"),
}
"""The first version without the fault; a package that is not locked has no fault here."""


def entries(lock: str) -> dict[str, str]:
    """By package: all of its lines."""
    text = (ROOT / lock).read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    return {re.split(r"[=\[; ]", block, maxsplit=1)[0].lower(): block for block in blocks}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_with_hashes(lock: str) -> None:
    found = entries(lock)
    assert found
    for name, block in found.items():
        assert re.search(r"^[\w.\[\]-]+==[\w.+!-]+", block), name
        assert "--hash=sha256:" in block, name


def test_the_packages_of_the_page_are_pinned_with_hashes() -> None:
    packages = json.loads((ROOT / "web" / "package-lock.json").read_text())["packages"]
    fetched = {name: one for name, one in packages.items() if name}
    assert fetched
    assert [name for name, one in fetched.items() if not one.get("integrity")] == []


@pytest.mark.parametrize("name", FLOORS)
def test_no_version_is_known_to_be_weak(name: str) -> None:
    block = entries("requirements.lock").get(name)
    if block is None:
        return
    found = re.search(r"==(\d+(?:\.\d+)*)", block)
    assert found, block
    floor, why = FLOORS[name]
    assert tuple(map(int, found[1].split("."))) >= floor, why
