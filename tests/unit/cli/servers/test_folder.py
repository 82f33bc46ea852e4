import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.servers import folder
from cli.servers.errors import ForeignFolder, StackInUse, StaleFolder
from cli.servers.folder import LOCK_NAME, end_orphans, locked, owned, passwords, sweep


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(StackInUse), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


@contextmanager
def looks_like_redis(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """To the kernel: the name of the program and where it works are all that counts."""
    folder.mkdir(parents=True)
    link = folder / "redis-server"
    link.symlink_to("/bin/sleep")
    process = subprocess.Popen([str(link), "600"], cwd=folder)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_orphans_are_ended_and_other_programs_are_not(tmp_path: Path) -> None:
    with looks_like_redis(tmp_path / "redis") as orphan:
        bystander = subprocess.Popen(["sleep", "600"], cwd=tmp_path / "redis")
        try:
            end_orphans(tmp_path)
            assert orphan.wait(30) != 0
            assert bystander.poll() is None
        finally:
            bystander.kill()
            bystander.wait()


def test_a_server_in_a_folder_that_we_did_not_make_lives_on(tmp_path: Path) -> None:
    with looks_like_redis(tmp_path / "redis") as theirs:
        with pytest.raises(ForeignFolder, match="not made by latchkey") as refused, locked(tmp_path):
            pass
        assert theirs.poll() is None
        assert "rm -rf" not in str(refused.value)
        assert [path.name for path in tmp_path.iterdir()] == ["redis"]


def test_a_server_beside_those_of_our_folder_lives_on(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).touch()
    with looks_like_redis(tmp_path / "theirs") as theirs, locked(tmp_path):
        assert theirs.poll() is None


def test_a_folder_that_may_not_be_looked_into_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shut(_: Path) -> Iterator[Path]:
        raise PermissionError

    # Nothing is shut to root.
    monkeypatch.setattr(Path, "iterdir", shut)
    with pytest.raises(StaleFolder, match="belongs to another user"), locked(tmp_path):
        pass


@pytest.mark.parametrize("left", [LOCK_NAME, "passwords.json", "running.json"])
def test_a_folder_left_by_a_killed_run_is_taken_over(tmp_path: Path, left: str) -> None:
    (tmp_path / left).touch()
    with locked(tmp_path):
        assert (tmp_path / LOCK_NAME).exists()


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
    for name in ("left", "owned", "foreign"):
        (tmp_path / name).mkdir()
    (tmp_path / "left" / LOCK_NAME).touch()
    with locked(tmp_path / "owned"):
        sweep(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign", "owned"]


def test_between_its_phases_the_folders_of_a_run_are_swept_by_nobody(tmp_path: Path) -> None:
    for name in ("71-gw0", "7-gw0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / LOCK_NAME).touch()
    (tmp_path / "71.run").touch()  # That run was killed.
    with owned(tmp_path, "7"):
        sweep(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["7-gw0", "7.run"]
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_sweep_removes_at_the_same_moment_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / LOCK_NAME).touch()

    @contextmanager
    def too_late(root: Path) -> Iterator[None]:
        shutil.rmtree(root)
        with locked(root):
            yield

    monkeypatch.setattr(folder, "locked", too_late)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []
