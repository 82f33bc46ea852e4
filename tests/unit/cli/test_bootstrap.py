"""The shell script `./latchkey`: what it finds, and what it installs, on a machine that is pretended."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cli.servers.process_tree import tree
from cli.stack import CHECKOUT
from tests.support.waiting import until

TOOLS = (
    "bash",
    "cat",
    "chmod",
    "dirname",
    "env",
    "flock",
    "id",
    "mkdir",
    "readlink",
    "rm",
    "sed",
    "sha256sum",
    "tail",
    "tee",
)
PROGRAMS = ("mosquitto", "mosquitto_pub", "redis-server", "initdb")
PLACES = ("/usr/lib/postgresql", "/usr/sbin/policy-rc.d", "/usr/sbin:/usr/local/sbin", "/run/systemd/system")
APT = """#!/bin/bash
[ "$1" = install ] || exit 0
cat {policy} >>{seen}
echo installed >>{calls}
[ ! -e {hold} ] || read -r _ <{hold}
for name in mosquitto mosquitto_pub redis-server initdb; do cat /dev/null >{bin}/$name; chmod +x {bin}/$name; done
"""


class Machine:
    """A checkout with only the script in it, and the programs that it may find."""

    def __init__(self, root: Path) -> None:
        self.bin, self.checkout = root / "bin", root / "checkout"
        self.policy, self.calls, self.seen, self.hold = (
            root / name for name in ("policy", "calls", "seen", "hold")
        )
        venv = self.checkout / ".venv"
        (venv / "bin").mkdir(parents=True)
        self.bin.mkdir()
        for name in TOOLS:
            (self.bin / name).symlink_to(shutil.which(name) or name)
        paths = {name: getattr(self, name) for name in ("policy", "calls", "seen", "hold", "bin")}
        self.program(self.bin / "apt-get", APT.format(**paths))
        self.program(self.bin / "sudo", '#!/bin/bash\n[ "$1" != -n ] || shift\nexec "$@"\n')
        self.program(venv / "bin" / "python", "#!/bin/bash\n")
        (self.checkout / "requirements.lock").touch()
        (venv / "latchkey.stamp").write_text(f"{hashlib.sha256().hexdigest()}  -\n")
        text = (CHECKOUT / "latchkey").read_text()
        for place in PLACES:
            assert place in text
            text = text.replace(
                place, str(self.policy if place.endswith("policy-rc.d") else root / "nowhere")
            )
        self.program(self.checkout / "latchkey", text)

    @staticmethod
    def program(path: Path, text: str = "#!/bin/bash\n") -> None:
        path.write_text(text)
        path.chmod(0o755)

    def start(self, verb: str = "up", **settings: str) -> subprocess.Popen[str]:
        """One `./latchkey VERB`."""
        return subprocess.Popen(
            [self.checkout / "latchkey", verb], env={"PATH": str(self.bin), **settings},
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, verb: str = "up", **settings: str) -> str:
        """Runs one that must go well, and returns what it said."""
        with self.start(verb, **settings) as process:
            said = process.communicate()[1]
        assert process.returncode == 0, said
        return said

    @property
    def installations(self) -> int:
        return len(self.calls.read_text().split()) if self.calls.exists() else 0


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def gone_process() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def test_a_postgresql_of_the_persons_own_needs_no_other(machine: Machine, tmp_path: Path) -> None:
    for name in PROGRAMS[:-1]:
        machine.program(machine.bin / name)
    own = tmp_path / "own"
    own.mkdir()
    machine.program(own / "initdb")
    machine.run(LATCHKEY_POSTGRES_BIN=str(own))
    assert machine.installations == 0
    machine.run()
    assert machine.installations == 1


@pytest.fixture
def held(machine: Machine) -> Path:
    """Installing takes until something is written to it."""
    os.mkfifo(machine.hold)
    return machine.hold


def test_of_two_first_starts_one_installs_and_the_other_waits(machine: Machine, held: Path) -> None:
    with machine.start() as first, machine.start() as second:
        until(lambda: machine.installations == 2 or (machine.installations == 1 and waits(first, second)))
        for _ in range(machine.installations):
            held.write_text("go on\n")
        assert (first.wait(), second.wait()) == (0, 0)
    assert machine.installations == 1
    assert not machine.policy.exists()


def waits(*processes: subprocess.Popen[str]) -> bool:
    """True when one of them waits for its turn while the other has it."""
    return any(name_of(pid) == "flock" for process in processes for pid in tree(process.pid))


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def test_services_do_not_start_while_packages_are_installed_and_may_afterwards(machine: Machine) -> None:
    machine.run()
    assert "exit 101" in machine.seen.read_text()
    assert not machine.policy.exists()


@pytest.mark.parametrize("verb", ["up", "check"])
def test_the_policy_of_a_start_that_was_killed_is_removed(machine: Machine, verb: str) -> None:
    machine.policy.write_text(f"#!/bin/sh\n# made by latchkey, process {gone_process()}\nexit 101\n")
    machine.run(verb)
    assert not machine.policy.exists()


@pytest.mark.parametrize(
    "maker",
    ["the machine's owner", f"made by latchkey, process {os.getpid()}"],
    ids=["the machine's", "of a start that lives"],
)
def test_a_policy_of_somebody_else_stays(machine: Machine, maker: str) -> None:
    machine.policy.write_text(f"#!/bin/sh\n# {maker}\nexit 0\n")
    before = machine.policy.read_text()
    machine.run()
    assert machine.installations == 1
    assert machine.policy.read_text() == before
