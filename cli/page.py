"""The web page, built when it is missing or was made of other sources."""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from cli.node import ensure_node
from cli.servers.errors import StackError
from cli.stack import CHECKOUT, STATE_FOLDER

WEB = CHECKOUT / "web"
BUILT = WEB / "dist"
STAMP_NAME = ".sources"
"""Says of which sources the page was built; written last."""
MADE = frozenset({"dist", "node_modules"})


class PageNotBuilt(StackError):
    """npm failed."""

    def __init__(self, command: str, said: str) -> None:
        super().__init__(f"{command} failed:\n{said}\nmend it with: cd {WEB} && {command}")


def ensure_page() -> Path:
    """The folder to serve; built first when needed, by one process at a time. Raises PageNotBuilt, NodeNotFetched."""
    STATE_FOLDER.mkdir(exist_ok=True)
    with (STATE_FOLDER / "page.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_current(WEB):
            _build(WEB)
    return BUILT


def is_current(web: Path) -> bool:
    """True when the page was built, to its end, from the sources that are in `web` now."""
    built = web / BUILT.name
    if not (built / "index.html").exists():
        return False
    # An image has the built page only.
    if not (web / "package.json").exists():
        return True
    stamp = built / STAMP_NAME
    return stamp.exists() and stamp.read_text() == hash_of_sources(web)


def hash_of_sources(web: Path) -> str:
    """Another one for whatever is changed, added or deleted in `web`, but for what is made of it."""
    whole = hashlib.sha256()
    for folder, below, names in os.walk(web):
        below[:] = sorted(name for name in below if name not in MADE)
        for path in (Path(folder, name) for name in sorted(names)):
            whole.update(f"{path.relative_to(web)}\0".encode())
            whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def _build(web: Path) -> None:
    ensure_node()
    stamp = web / BUILT.name / STAMP_NAME
    stamp.unlink(missing_ok=True)
    # Of now: what is edited during the build may not be in it.
    sources = hash_of_sources(web)
    print("latchkey: building the web page (once, and after its sources change)", file=sys.stderr)
    for command in (["npm", "ci", "--no-audit", "--no-fund"], ["npm", "run", "build"]):
        done = subprocess.run(command, cwd=web, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PageNotBuilt(" ".join(command), (done.stdout + done.stderr)[-2_000:])
    fresh = stamp.with_suffix(".new")
    fresh.write_text(sources)
    fresh.replace(stamp)
