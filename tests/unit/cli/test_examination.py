import os
import resource
import shlex
import shutil
from pathlib import Path

import pytest

from cli import examination
from cli.examination import Grade


def with_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, said: str) -> None:
    program = tmp_path / name
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda wanted, path=None: str(program) if wanted == name else None)


def test_an_old_mosquitto_works_and_its_two_defects_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_program(monkeypatch, tmp_path, "mosquitto", "mosquitto version 2.0.11")
    found = examination.examine_mosquitto()
    assert found.grade is Grade.WORTH_KNOWING
    assert "expired" in found.what
    assert "receive maximum" in found.what


def test_a_mended_mosquitto_is_good(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_program(monkeypatch, tmp_path, "mosquitto", "mosquitto version 2.0.22")
    assert examination.examine_mosquitto().grade is Grade.GOOD


def test_what_is_missing_names_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda wanted, path=None: None)
    for examine in (examination.examine_mosquitto, examination.examine_redis):
        found = examine()
        assert found.grade is Grade.WRONG
        assert found.mended_by.startswith("sudo apt-get install")


def test_an_old_redis_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_program(monkeypatch, tmp_path, "redis-server", "Redis server v=5.0.7 sha=0")
    assert examination.examine_redis().grade is Grade.WRONG


def test_few_open_files_are_said_in_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 4096))
    found = examination.examine_files()
    assert found.grade is Grade.WORTH_KNOWING
    assert "3896 devices" in found.what
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, resource.RLIM_INFINITY))
    assert examination.examine_files().grade is Grade.GOOD


def test_a_full_disk_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 2**30})
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    assert examination.examine_disk().grade is Grade.WRONG


def test_room_is_made_only_by_what_can_be_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    state = tmp_path / "a checkout" / ".latchkey"
    for kept in ("ca", "up"):
        (state / kept).mkdir(parents=True)
    (state / "ca" / "ca.key").write_text("the whole fleet")
    monkeypatch.setattr(examination, "STATE_FOLDER", state)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: type("Usage", (), {"free": 2**30}))
    assert examination.examine_disk().mended_by == "", "nothing here may be thrown away"
    for thrown in ("demo", "tests"):
        (state / thrown).mkdir()
    words = shlex.split(examination.examine_disk().mended_by)
    assert words == ["rm", "-rf", str(state / "tests"), str(state / "demo")]


def test_commands_that_mend_hold_in_a_folder_with_a_space(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "a checkout"
    place.mkdir()
    (place / "requirements.lock").write_text("nobody-has-this==1.0 \\\n")
    monkeypatch.setattr(examination, "CHECKOUT", place)
    monkeypatch.setattr(examination, "STATE_FOLDER", place / ".latchkey")
    words = shlex.split(examination.examine_packages().mended_by)
    assert words == ["rm", "-f", f"{place}/.venv/latchkey.stamp", "&&", f"{place}/latchkey", "doctor"]
    monkeypatch.setattr(os, "access", lambda where, how: False)
    assert shlex.split(examination.examine_disk().mended_by)[-1] == str(place)


def test_this_machine_can_be_examined_as_a_whole() -> None:
    found = examination.examine_machine()
    assert len({finding.about for finding in found}) == len(found) >= 10
    packages = next(finding for finding in found if finding.about == "packages")
    assert packages.grade is Grade.GOOD, packages.what


def test_where_servers_are_named_private_ones_are_not_missed() -> None:
    about = {found.about for found in examination.examine_machine({"LATCHKEY_POSTGRES_DSN": "host=db"})}
    assert about == {"Python", "packages", "web page", "open files"}
    assert about < {found.about for found in examination.examine_machine({})}
