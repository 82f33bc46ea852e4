"""An import is whole or says which line is wrong, and hands its secrets out once."""

import csv
import os
import stat
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from cli import device_import
from cli.main import application
from cli.running import POSTGRES_DSN
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import DeviceId
from gateway.broker_verifier import matches
from gateway.core.device import DeviceModel, Kind
from gateway.key_wrapping import KeyWrapping, Wrapped, new_key_encryption_key
from gateway.stores.bulk_import import Credentials, import_chunk
from gateway.stores.device_identity import By
from gateway.stores.registration import bulk_register

MODEL = DeviceModel("m", Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)
KEY = new_key_encryption_key("t")


@pytest.fixture(autouse=True)
def _ready(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POSTGRES_DSN, database)
    monkeypatch.setenv("LATCHKEY_KEY_ENCRYPTION_KEY", KEY)
    with psycopg.connect(database) as connection:
        bulk_register(connection, [MODEL], [])


def run(path: Path, *more: str) -> tuple[int, str]:
    words = ["device", "import", str(path), "--model", "m", *more]
    answer = CliRunner().invoke(application(("device",)), words)
    return answer.exit_code, answer.output


def listed(path: Path, count: int, *more: str) -> Path:
    path.write_text("\n".join(["device_id", *(f"d-{n:06d}" for n in range(count)), *more]) + "\n")
    return path


def count(dsn: str, table: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(f"select count(*) from {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_what_is_handed_out_is_what_is_kept(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_import, "CHUNK", 7)
    exit_code, said = run(listed(tmp_path / "f.csv", 20))
    assert (exit_code, said.splitlines()[0]) == (0, "20 devices were imported")
    into = tmp_path / "f.csv.credentials.csv"
    assert stat.S_IMODE(into.stat().st_mode) == 0o600
    with into.open(newline="") as file:
        handed = {row["device_id"]: row for row in csv.DictReader(file)}
    assert len(handed) == 20
    with psycopg.connect(database) as connection:
        kept = connection.execute(
            "select device_id, device_no, verifier, key_no, wrapped_by, wrapped from device"
            " join device_credential using (device_no) join device_key using (device_no)"
        ).fetchall()
    wrapping = KeyWrapping.parse(KEY)
    for device_id, device_no, verifier, key_no, by, sealed in kept:
        row = handed[device_id]
        assert matches(row["password"], verifier)
        key = DeviceKey(int(row["key_number"]), bytes.fromhex(row["key_hex"]))
        assert wrapping.unwrap(Wrapped(by, sealed), device_no=device_no, key_no=key_no) == key
        assert row["topics"].endswith(device_id)
    assert count(database, "audit") == 3


def test_one_wrong_line_and_nothing_is_imported(database: str, tmp_path: Path) -> None:
    exit_code, said = run(listed(tmp_path / "f.csv", 3, "has space"))
    assert exit_code == 1
    assert "line 5:" in said
    assert count(database, "device") == 0
    assert not (tmp_path / "f.csv.credentials.csv").exists()


def test_an_interrupted_import_is_repeated_and_leaves_no_device_without_credentials(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_import, "CHUNK", 5)
    kept, calls = device_import.Seal.keep, []

    def breaks(self: device_import.Seal, made: object) -> None:
        calls.append(made)
        if len(calls) == 3:
            raise OSError("disk full")
        kept(self, made)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(device_import.Seal, "keep", breaks)
    path = listed(tmp_path / "f.csv", 20)
    into = tmp_path / "f.csv.credentials.csv"
    exit_code, said = run(path)
    assert exit_code == 1
    assert "disk full; 10 devices were imported before that" in said
    assert f"passwords and keys are in {into}" in said
    assert count(database, "device") == count(database, "device_credential") == 10
    before = into.read_bytes()
    exit_code, said = run(path)
    assert (exit_code, into.read_bytes()) == (1, before), "what was handed out is never overwritten"
    assert f"{into} holds the passwords of an earlier run: keep it" in said
    assert "--credentials" in said
    exit_code, said = run(path, "--credentials", str(tmp_path / "rest.csv"))
    assert exit_code == 0
    assert said.startswith("10 devices were imported; 10 were registered before")
    assert count(database, "device") == count(database, "device_credential") == 20


def test_hardware_that_cannot_verify_gets_no_key(database: str, tmp_path: Path) -> None:
    assert run(listed(tmp_path / "f.csv", 2), "--no-keys", "--registered")[0] == 0
    assert count(database, "device_key") == 0
    assert count(database, "device where status = 1") == 2


def test_a_second_import_of_the_same_changes_nothing(database: str, tmp_path: Path) -> None:
    path = listed(tmp_path / "f.csv", 3)
    assert run(path)[0] == 0
    exit_code, said = run(path)
    assert exit_code == 0
    assert said == "0 devices were imported; 3 were registered before and stay as they are\n"


def test_a_disk_that_takes_a_piece_at_a_time_gets_every_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = device_import.Seal(KeyWrapping.parse(KEY), By("t", "t", ""), tmp_path / "c.csv")
    made = [Credentials(DeviceId(f"d-{number}"), f"password-{number}", None) for number in range(50)]
    write = os.write
    with monkeypatch.context() as short:
        short.setattr(os, "write", lambda descriptor, content: write(descriptor, bytes(content)[:7]))
        seal.keep(made)
    seal.close()
    with (tmp_path / "c.csv").open(newline="") as file:
        kept = [row["password"] for row in csv.DictReader(file)]
    assert kept == [one.password for one in made]


def test_a_database_that_goes_away_between_two_chunks_is_told_with_what_is_in(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_import, "CHUNK", 5)
    calls = []

    def breaks(*arguments: object, **named: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise psycopg.OperationalError("the server went away")
        return import_chunk(*arguments, **named)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr("cli.device_import.import_chunk", breaks)
    exit_code, said = run(listed(tmp_path / "f.csv", 12))
    assert exit_code == 1
    assert "the server went away; 5 devices were imported before that" in said
