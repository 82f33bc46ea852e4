from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import application
from cli.servers.broker_files import CERTIFICATE_FILES

FILES = ("cafile", "certfile", "keyfile", "crlfile", "acl_file", "password_file")


def write(into: Path, monkeypatch: pytest.MonkeyPatch, **passwords: str) -> int:
    for name in ("LATCHKEY_MQTT_PASSWORD", "LATCHKEY_BRIDGE_PASSWORD"):
        monkeypatch.setenv(name, passwords.get(name, ""))
    return CliRunner().invoke(application(("broker-files",)), ["broker-files", "--into", str(into)]).exit_code


def test_a_broker_finds_everything_its_configuration_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert write(tmp_path, monkeypatch, LATCHKEY_MQTT_PASSWORD="secret") == 0
    lines = (tmp_path / "mosquitto.conf").read_text().splitlines()
    named = [
        line.split()[1]
        for line in lines
        if line.startswith(("password_file", "acl_file", "persistence_location"))
    ]
    assert len(named) == 5
    assert all(Path(name).exists() for name in named)
    assert (tmp_path / "internal.passwords").read_text().startswith("lk-gateway:$7$")
    assert (tmp_path / "internal.passwords").stat().st_mode & 0o077 == 0


def test_listed_devices_stay_and_the_bridge_exists_only_with_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "devices.passwords").write_text("bike-1:$7$x\n")
    assert write(tmp_path, monkeypatch, LATCHKEY_MQTT_PASSWORD="a", LATCHKEY_BRIDGE_PASSWORD="b") == 0
    assert (tmp_path / "devices.passwords").read_text() == "bike-1:$7$x\n"
    assert "lk-bridge:" in (tmp_path / "internal.passwords").read_text()
    assert write(tmp_path, monkeypatch, LATCHKEY_MQTT_PASSWORD="a") == 0
    assert "lk-bridge:" not in (tmp_path / "internal.passwords").read_text()


def test_without_a_password_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert write(tmp_path, monkeypatch) == 2
    assert list(tmp_path.iterdir()) == []


def test_tls_is_served_only_where_there_are_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into, folder = tmp_path / "broker", tmp_path / "ca"
    folder.mkdir()
    monkeypatch.setenv("LATCHKEY_MQTT_PASSWORD", "a")
    words = ["broker-files", "--into", str(into), "--certificates", str(folder)]
    assert CliRunner().invoke(application(("broker-files",)), words).exit_code == 0
    assert "certfile" not in (into / "mosquitto.conf").read_text()
    for name in CERTIFICATE_FILES:
        (folder / name).write_text(name)
    assert CliRunner().invoke(application(("broker-files",)), words).exit_code == 0
    text = (into / "mosquitto.conf").read_text()
    assert text.count("\nlistener ") == 4
    named = {line.split()[1] for line in text.splitlines() if line.startswith(FILES)}
    assert all(Path(name).exists() for name in named)
    assert (into / "server.key").stat().st_mode & 0o077 == 0
    assert text.count("require_certificate true") == 1
