"""What can go wrong with a private server, each with the one thing to do about it."""

import shlex
from pathlib import Path


class StackError(Exception):
    """A private server cannot be had; the sentence says what to do."""


class ProgramMissing(StackError):
    """A server program is not installed."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(
            f"{program} is not installed; run: sudo apt-get install --no-install-recommends {package}"
        )
        self.program = program
        self.package = package


class StackInUse(StackError):
    """Another live process owns this data folder."""

    def __init__(self, root: Path) -> None:
        super().__init__(f"{root} is in use by another run of latchkey; stop that one first")
        self.root = root


class StaleFolder(StackError):
    """The data folder was made by another user or another version and cannot be taken over."""

    def __init__(self, folder: Path, why: str) -> None:
        remove = f"sudo rm -rf {shlex.quote(str(folder))}"
        super().__init__(f"{folder} {why}; if nothing in it is needed, run: {remove}")
        self.folder = folder


class ForeignFolder(StaleFolder):
    """The data folder is not one of ours: nothing in it may be taken over, ended or removed."""

    def __init__(self, folder: Path) -> None:
        # Not a word of removing it.
        StackError.__init__(
            self, f"{folder} is not empty and was not made by latchkey; name a new folder, or an empty one"
        )
        self.folder = folder


class ServerDied(StackError):
    """A server ended before it answered."""

    def __init__(self, name: str, exit_code: int | None, log_tail: str) -> None:
        super().__init__(f"{name} ended with {exit_code} before it answered; its log ends with:\n{log_tail}")
        self.port_taken = "ddress already in use" in log_tail


class ServerSilent(StackError):
    """A server runs but did not answer in time."""

    def __init__(self, name: str, deadline_s: float, why: str) -> None:
        super().__init__(f"{name} did not answer within {deadline_s:.0f} s: {why}")
