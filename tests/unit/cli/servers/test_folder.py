import json
import subprocess
from pathlib import Path

import pytest

from cli.servers.errors import StackInUse
from cli.servers.folder import LOCK_NAME, end_orphans, locked, passwords, sweep


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(StackInUse), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_orphans_are_ended_and_other_programs_are_not(tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "600"], cwd=tmp_path)
    # Looks like a server to the kernel: the name of the program is all that counts.
    link = tmp_path / "redis-server"
    link.symlink_to("/bin/sleep")
    orphan = subprocess.Popen([str(link), "600"], cwd=tmp_path)
    try:
        end_orphans(tmp_path)
        assert orphan.wait(30) != 0
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_passwords_stay_the_same_and_are_readable_for_us_alone(tmp_path: Path) -> None:
    first = passwords(tmp_path, ("a", "b"))
    assert passwords(tmp_path, ("a", "b")) == first
    assert first["a"] != first["b"]
    assert (tmp_path / "passwords.json").stat().st_mode & 0o077 == 0
    assert passwords(tmp_path, ("a", "b", "c"))["a"] == first["a"]


def test_half_a_password_file_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "passwords.json").write_text('{"a": ')
    found = passwords(tmp_path, ("a",))
    assert json.loads((tmp_path / "passwords.json").read_text()) == found


def test_only_folders_that_nobody_owns_are_swept(tmp_path: Path) -> None:
    for name in ("left", "owned", "foreign", "ours-gw0"):
        (tmp_path / name).mkdir()
    for name in ("left", "ours-gw0"):
        (tmp_path / name / LOCK_NAME).touch()
    with locked(tmp_path / "owned"):
        sweep(tmp_path, but="ours-")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign", "ours-gw0", "owned"]
        sweep(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign", "owned"]
