"""The verb `device import`: a file of devices into the registry, their credentials into another file."""

import csv
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from rich.console import Console
from rich.progress import Progress

from cli import running
from cli.database import database, fail
from cli.device_actions import Refused, console, wrapping_of
from cli.import_list import BadList, Defaults, DeviceList, Entry, Fault, read_list
from firmware_protocol.topics import topic_prefix
from gateway.core.device import Status
from gateway.key_wrapping import KeyWrapping
from gateway.stores.bulk_import import AlreadyRegistered, Credentials, import_chunk
from gateway.stores.device_identity import By

CHUNK = 5_000
"""One transaction: well under a second, so that nobody waits for its locks."""

MAX_SHOWN_FAULTS = 20
HEADER = ("device_id", "password", "key_number", "key_hex", "topics")


def register(devices: typer.Typer) -> None:
    """Adds it to the verb `device`."""
    devices.command("import")(import_devices)


def import_devices(
    file: Annotated[Path, typer.Argument(help="CSV with a first line of column names.")],
    *,
    model: Annotated[str, typer.Option(help="Of lines that name none.")] = "",
    operator: Annotated[int, typer.Option(help="Of lines that name none.")] = 1,
    credentials: Annotated[
        Path | None, typer.Option(help="Where passwords and keys go; FILE.credentials.csv unless given.")
    ] = None,
    keys: Annotated[bool, typer.Option(help="Whether the hardware verifies commands.")] = True,
    registered: Annotated[bool, typer.Option(help="Not in service until activated or enrolled.")] = False,
    why: Annotated[str, typer.Option(help="For the audit log.")] = "",
) -> None:
    """Imports devices: device_id, and if wanted model, operator_id, password, lat, lon. Nothing is imported while a
    line is wrong. Devices that are registered already stay as they are, so an interrupted import can be repeated.

    Passwords and keys are written once, to a new file that only you may read.

    Example: ./latchkey device import fleet.csv --model city_bike
    """
    defaults = Defaults(model, operator, Status.REGISTERED if registered else Status.ACTIVE)
    into = credentials or file.with_name(f"{file.name}.credentials.csv")
    try:
        wrapping = wrapping_of(running.known_settings())
        with database() as connection:
            listed = checked(connection, file, defaults)
            with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
                task = progress.add_task("importing", total=len(listed.entries))
                done = bring_in(
                    connection,
                    listed.entries,
                    Seal(wrapping, console(why), into, with_keys=keys),
                    tell=lambda count: progress.advance(task, count),
                )
    except (Refused, BadList, Interrupted, OSError) as refused:
        fail(str(refused))
    skipped = len(listed.entries) - done
    also = f"; {skipped} were registered before and stay as they are" if skipped else ""
    print(f"{done} devices were imported{also}")
    if done:
        print(f"their passwords and keys are in {into}: hand them out and delete it")


class Interrupted(Exception):
    """Something was handed out, and then no more could be; the sentence says how much, where it is, what to do."""

    def __init__(self, why: Exception, done: int, into: Path) -> None:
        super().__init__(
            f"{str(why).strip()}; {done} devices were imported before that, and their passwords and keys are in {into}:"
            " keep it, and repeat the import with --credentials and another name"
            " (a device that stands in both files has what the later one says)"
        )


class Seal:
    """What an import needs to make credentials, and the file they go to: made at the first of them."""

    def __init__(self, wrapping: KeyWrapping, by: By, into: Path, *, with_keys: bool = True) -> None:
        self.wrapping = wrapping
        self.by = by
        self.into = into
        self.with_keys = with_keys
        self._descriptor: int | None = None

    def keep(self, made: Sequence[Credentials]) -> None:
        """On the disk on return: the transaction that makes them good follows. Raises Refused where an earlier run
        left its own, OSError."""
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self.into, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError as error:
                raise Refused(
                    f"{self.into} holds the passwords of an earlier run: keep it, and give --credentials another name"
                ) from error
            self._write([HEADER])
        self._write([_row(one) for one in made])
        os.fsync(self._descriptor)

    @property
    def begun(self) -> bool:
        """Something was handed out."""
        return self._descriptor is not None

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _write(self, rows: Sequence[Sequence[object]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        assert self._descriptor is not None
        left = text.getvalue().encode()
        # A disk that fills up takes a piece, and says so only when the next one is written.
        while left:
            left = left[os.write(self._descriptor, left) :]


def checked(connection: psycopg.Connection, file: Path, defaults: Defaults) -> DeviceList:
    """The list, when no line of it is wrong. Raises BadList with the first of them, OSError, psycopg.Error."""
    models = frozenset(row[0] for row in connection.execute("select model from device_model"))
    operators = frozenset(row[0] for row in connection.execute("select operator_id from operator")) | {1}
    listed = read_list(file, defaults, models, operators)
    if listed.faults:
        raise BadList(_told(listed.faults))
    return listed


def bring_in(
    connection: psycopg.Connection,
    entries: Sequence[Entry],
    seal: Seal,
    *,
    tell: Callable[[int], None] = lambda count: None,
) -> int:
    """How many are new; chunk by chunk, each whole or not at all. What was told of when it fails is imported.
    Raises Interrupted once something was handed out; before that Refused, OSError, psycopg.Error."""
    done = 0
    try:
        for start in range(0, len(entries), CHUNK):
            chunk = entries[start : start + CHUNK]
            done += _bring_in(connection, chunk, seal)
            tell(len(chunk))
    except (OSError, psycopg.Error) as error:
        if not seal.begun:
            raise
        raise Interrupted(error, done, seal.into) from error
    finally:
        seal.close()
    return done


def _bring_in(connection: psycopg.Connection, chunk: Sequence[Entry], seal: Seal) -> int:
    while chunk:
        try:
            import_chunk(
                connection,
                [entry.device for entry in chunk],
                seal.wrapping,
                seal.by,
                passwords=[entry.password for entry in chunk],
                with_keys=seal.with_keys,
                keep=seal.keep,
            )
            break
        except AlreadyRegistered as known:
            chunk = [entry for entry in chunk if entry.device.device_id not in known.device_ids]
    return len(chunk)


def _row(made: Credentials) -> Sequence[object]:
    key = (made.key.number, made.key.secret.hex()) if made.key is not None else ("", "")
    return (made.device_id, made.password, *key, topic_prefix(made.device_id).rstrip("/"))


def _told(faults: Sequence[Fault]) -> str:
    shown = [str(fault) for fault in faults[:MAX_SHOWN_FAULTS]]
    if len(faults) > MAX_SHOWN_FAULTS:
        shown.append(f"and {len(faults) - MAX_SHOWN_FAULTS} more")
    return "nothing was imported:\n  " + "\n  ".join(shown)
