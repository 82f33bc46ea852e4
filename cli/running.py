"""What an `up` or a demo of this checkout tells the other verbs: its settings, while it runs."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import typer

from cli.stack import STATE_FOLDER

UP_FOLDER = STATE_FOLDER / "up"
DEMO_FOLDER = STATE_FOLDER / "demo"
RUNNING_NAME = "running.json"
GATEWAY_ADDRESS = "LATCHKEY_GATEWAY_ADDRESS"
DEVICE_PORT = "LATCHKEY_DEVICE_PORT"
POSTGRES_DSN = "LATCHKEY_POSTGRES_DSN"
REDIS_URL = "LATCHKEY_REDIS_URL"
API_URL = "LATCHKEY_API_URL"


@contextmanager
def announced(folder: Path, settings: Mapping[str, str]) -> Iterator[None]:
    """The settings are there for other terminals of this user; at the end no more, unless a later run left its own.

    The file is locked meanwhile: one that a killed run left behind is not, and says nothing.
    """
    said = {name: value for name, value in settings.items() if name.startswith("LATCHKEY_")}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RUNNING_NAME
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        json.dump(said, file)
        file.flush()
        try:
            yield
        finally:
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    path.unlink()


def _said(folder: Path) -> dict[str, str]:
    """Empty when nobody who lives announced anything that this user may read."""
    try:
        with (folder / RUNNING_NAME).open() as file:
            if not _is_locked(file):
                return {}
            said = json.load(file)
    except (FileNotFoundError, PermissionError, json.JSONDecodeError):
        return {}
    return {str(name): str(value) for name, value in said.items()}


def _is_locked(file: IO[str]) -> bool:
    try:
        # Shared: two readers are not in each other's way.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def known_settings(*folders: Path) -> dict[str, str]:
    """LATCHKEY_* of the environment, else those of an `up` that runs from this checkout, else those of a demo."""
    own = {name: value for name, value in os.environ.items() if name.startswith("LATCHKEY_")}
    if POSTGRES_DSN in own:
        return own
    for folder in folders or (UP_FOLDER, DEMO_FOLDER):
        if said := _said(folder):
            return said | own
    return own


def setting(name: str) -> str:
    """Raises typer.BadParameter with what to do when nothing says it, or when it is an address that cannot be read:
    whoever reads it would repeat a piece of it, which may be of the password."""
    from gateway.addresses import postgres_dsn, redis_url

    value = known_settings().get(name, "")
    if not value:
        raise typer.BadParameter(f"set {name}, or start ./latchkey up (or demo) in another terminal")
    check = {POSTGRES_DSN: postgres_dsn, REDIS_URL: redis_url}.get(name, str)
    try:
        return check(value)
    except ValueError as error:
        raise typer.BadParameter(f"{name} cannot be used: {error}") from None
