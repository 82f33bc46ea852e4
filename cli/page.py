"""The web page, built when it is missing or older than its sources."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from cli.node import ensure_node
from cli.servers.errors import StackError
from cli.stack import CHECKOUT, STATE_FOLDER

WEB = CHECKOUT / "web"
BUILT = WEB / "dist"
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
            _build()
    return BUILT


def is_current(web: Path) -> bool:
    """True when the built page is newer than every source file in `web`."""
    index = web / "dist" / "index.html"
    return index.exists() and index.stat().st_mtime >= newest_source(web)


def newest_source(web: Path) -> float:
    """When the newest source was changed, in Unix seconds; 0 when there is none."""
    newest = 0.0
    for folder, below, names in os.walk(web):
        below[:] = [name for name in below if name not in MADE]
        newest = max([newest, *(Path(folder, name).stat().st_mtime for name in names)])
    return newest


def _build() -> None:
    ensure_node()
    print("latchkey: building the web page (once, and after its sources change)", file=sys.stderr)
    for command in (["npm", "ci", "--no-audit", "--no-fund"], ["npm", "run", "build"]):
        done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PageNotBuilt(" ".join(command), (done.stdout + done.stderr)[-2_000:])
