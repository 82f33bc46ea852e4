import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.servers.account import Account, reachable_root


def test_as_root_a_server_runs_as_somebody_else_and_else_as_ourselves() -> None:
    account = Account.for_server("nobody")
    if os.geteuid() == 0:
        assert account.switch
        assert account.uid != 0
    else:
        assert (account.switch, account.uid) == (False, os.geteuid())


def test_a_package_user_that_does_not_exist_is_replaced() -> None:
    assert Account.for_server("no-such-user-here").name in ("nobody", Account.for_server("nobody").name)


def test_a_file_given_away_has_the_owner_and_the_mode(tmp_path: Path) -> None:
    account = Account.for_server("nobody")
    path = tmp_path / "file"
    path.touch()
    account.own(path, 0o600)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_uid == account.uid


def test_a_folder_that_servers_can_reach_is_taken_as_it_is(tmp_path_factory: pytest.TempPathFactory) -> None:
    wanted = Path("/var/tmp") / f"latchkey-test-{os.getpid()}"
    try:
        assert reachable_root(wanted) == wanted
        assert wanted.is_dir()
    finally:
        wanted.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has servers that run as somebody else")
def test_a_folder_below_a_private_home_is_replaced_and_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o700)
    wanted = tmp_path / "stack"
    found = reachable_root(wanted)
    try:
        assert found != wanted
        assert found.is_relative_to("/var/tmp")
        assert found == reachable_root(wanted)
        assert str(found) in capsys.readouterr().err
    finally:
        found.rmdir()
        found.parent.rmdir()


def test_a_folder_is_named_as_the_kernel_names_it() -> None:
    """Orphans of a folder behind a link are known by where they work."""
    wanted = Path("/var/tmp") / f"latchkey-test-{os.getpid()}"
    link = wanted.with_name(f"{wanted.name}-link")
    link.symlink_to(wanted)
    try:
        assert reachable_root(link) == wanted
    finally:
        link.unlink()
        wanted.rmdir()


@pytest.fixture
def _private_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has servers that run as somebody else")
@pytest.mark.usefixtures("_private_umask")
def test_folders_made_for_servers_of_other_accounts_are_open_to_them_whatever_the_umask() -> None:
    above = Path("/var/tmp") / f"latchkey-test-{os.getpid()}"
    wanted = above / "stack"
    try:
        assert reachable_root(wanted) == wanted
        assert [path.stat().st_mode & 0o777 for path in (above, wanted)] == [0o755, 0o755]
    finally:
        wanted.rmdir()
        above.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has servers that run as somebody else")
@pytest.mark.usefixtures("_private_umask")
def test_the_folder_that_replaces_one_below_a_private_home_is_open_too(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    found = reachable_root(tmp_path / "stack")
    try:
        assert [path.stat().st_mode & 0o777 for path in (found.parent, found)] == [0o755, 0o755]
    finally:
        found.rmdir()
        found.parent.rmdir()
