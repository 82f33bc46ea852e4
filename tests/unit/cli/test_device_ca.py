"""A person makes an authority, gives certificates out and takes them back; the registry knows each of them."""

from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from typer.testing import CliRunner

from cli.main import application
from cli.running import POSTGRES_DSN
from gateway.key_wrapping import new_key_encryption_key


def run(*arguments: str) -> tuple[int, str]:
    answer = CliRunner().invoke(application(("device",)), ["device", *arguments])
    return answer.exit_code, answer.output


@pytest.fixture
def folder(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(POSTGRES_DSN, database)
    monkeypatch.setenv("LATCHKEY_KEY_ENCRYPTION_KEY", new_key_encryption_key("t"))
    assert run("register", "bike-1", "--model", "m", "--kind", "bike")[0] == 0
    folder = str(tmp_path / "ca")
    assert run("ca", "init", "--folder", folder)[0] == 0
    return folder


def listed(pem: str) -> set[str]:
    return {f"{one.serial_number:x}" for one in x509.load_pem_x509_crl(pem.encode())}


def test_what_is_revoked_is_on_the_list_in_the_registry_and_in_the_folder(
    database: str, folder: str, tmp_path: Path
) -> None:
    for into in ("one", "two"):
        exit_code, said = run("ca", "issue", "bike-1", "--folder", folder, "--into", str(tmp_path / into))
        assert exit_code == 0, said
        assert (tmp_path / into / "bike-1.key").stat().st_mode & 0o077 == 0
    assert listed(run("ca", "crl", "--folder", folder)[1]) == set()
    first = x509.load_pem_x509_certificate((tmp_path / "one" / "bike-1.crt").read_bytes())
    serial = f"{first.serial_number:x}"
    assert run("ca", "revoke", "bike-1", "--serial", serial, "--folder", folder)[1] == f"revoked {serial}\n"
    with psycopg.connect(database) as connection:
        row = connection.execute("select pem from revocation_list").fetchone()
        actions = connection.execute("select action from audit order by audit_no").fetchall()
    assert row is not None
    assert listed(row[0]) == {serial}
    assert (Path(folder) / "devices.crl").read_text() == row[0]
    assert [action for (action,) in actions][1:] == [
        "certificate_issue",
        "certificate_issue",
        "certificate_revoke",
    ]
    assert run("ca", "revoke", "bike-1", "--folder", folder)[0] == 0
    exit_code, said = run("ca", "revoke", "bike-1", "--folder", folder)
    assert exit_code == 1
    assert "no such certificate that stands" in said
    assert len(listed(run("ca", "crl", "--folder", folder)[1])) == 2


def test_nobody_gets_a_certificate_who_is_not_registered_or_is_retired(folder: str, tmp_path: Path) -> None:
    into = ("--folder", folder, "--into", str(tmp_path))
    assert run("ca", "issue", "nobody", *into)[0] == 1
    run("retire", "bike-1")
    assert run("ca", "issue", "bike-1", *into)[0] == 1
    assert not list(tmp_path.glob("*.crt"))


def test_the_brokers_own_certificate_stands_beside_the_authoritys(folder: str) -> None:
    assert run("ca", "server", "mqtt.example.org", "--folder", folder)[0] == 0
    assert {path.name for path in Path(folder).iterdir()} == {
        "ca.key",
        "ca.crt",
        "server.key",
        "server.crt",
        "devices.crl",
    }


def test_a_second_authority_in_the_same_place_is_refused(folder: str) -> None:
    assert run("ca", "init", "--folder", folder)[0] == 1


def test_a_certificate_that_cannot_be_put_anywhere_is_not_recorded(
    database: str, folder: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    assert run("ca", "issue", "bike-1", "--folder", folder, "--into", str(tmp_path))[0] == 0
    before = {name: (tmp_path / name).read_bytes() for name in ("bike-1.crt", "bike-1.key")}
    exit_code, said = run("ca", "issue", "bike-1", "--folder", folder, "--into", str(tmp_path))
    assert exit_code == 1
    assert "bike-1.key" in said
    assert "--into" in said
    assert run("ca", "issue", "bike-1", "--folder", folder, "--into", str(tmp_path / "file"))[0] == 1
    with psycopg.connect(database) as connection:
        assert connection.execute("select count(*) from device_certificate").fetchone() == (1,)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
