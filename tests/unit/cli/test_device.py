import pytest
from typer.testing import CliRunner

from cli.main import application
from cli.running import POSTGRES_DSN
from gateway.key_wrapping import new_key_encryption_key


def run(*arguments: str) -> tuple[int, str]:
    answer = CliRunner().invoke(application(("device",)), ["device", *arguments])
    return answer.exit_code, answer.output


@pytest.fixture(autouse=True)
def _database(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POSTGRES_DSN, database)
    monkeypatch.setenv("LATCHKEY_KEY_ENCRYPTION_KEY", new_key_encryption_key("t"))


def test_a_device_is_registered_listed_and_shown() -> None:
    exit_code, said = run("register", "bike-0001", "--model", "city_bike", "--kind", "bike")
    assert exit_code == 0
    assert "/bike-0001/" in said
    assert "bike-0001" in run("list")[1]
    assert "city_bike" in run("show", "bike-0001")[1]


def test_a_new_device_gets_a_password_and_a_key_this_once(monkeypatch: pytest.MonkeyPatch) -> None:
    register = ("register", "bike-0001", "--model", "city_bike", "--kind", "bike")
    said = run(*register)[1]
    assert "password  " in said
    assert "key       1:" in said
    assert "Password and key are shown this once." in said
    again = run(*register)[1]
    assert "key       " not in again
    assert "registered before" in again
    plain = run("register", "old-lock", "--model", "city_bike", "--no-key", "--password", "hers")[1]
    assert "password  hers" in plain
    assert "key       " not in plain
    assert "Password is shown this once." in plain
    monkeypatch.delenv("LATCHKEY_KEY_ENCRYPTION_KEY")
    exit_code, said = run("register", "bike-0002", "--model", "city_bike")
    assert exit_code == 1
    assert "./latchkey key new" in said


def test_a_model_with_devices_stays_of_its_kind() -> None:
    as_kind = ("--model", "city_bike", "--kind")
    assert run("register", "bike-0001", *as_kind, "bike")[0] == 0
    exit_code, said = run("register", "bike-0002", *as_kind, "cabinet")
    assert exit_code == 1
    assert "is a bike" in said
    assert "(bike, reports every 60 s)" in run("show", "bike-0001")[1]
    assert run("show", "bike-0002")[0] == 1
    assert run("register", "bike-0002", *as_kind, "bike", "--heartbeat-s", "90")[0] == 0
    assert "every 90 s" in run("show", "bike-0001")[1]


def test_a_device_without_a_known_model_is_refused_with_what_to_do() -> None:
    exit_code, said = run("register", "bike-0001", "--model", "unheard_of")
    assert exit_code == 1
    assert "--kind" in said


@pytest.mark.parametrize("device_id", ["lk-gw-07", "has space", "a/b", "x" * 33])
def test_an_id_that_no_device_can_have_is_refused(device_id: str) -> None:
    assert run("register", device_id, "--model", "city_bike", "--kind", "bike")[0] == 1


@pytest.mark.parametrize("wrong", [("--heartbeat-s", "0"), ("--heartbeat-s", "-5"), ("--slots", "-1")])
def test_a_model_that_none_can_be_is_refused(wrong: tuple[str, str]) -> None:
    exit_code, said = run("register", "bike-0001", "--model", "city_bike", "--kind", "bike", *wrong)
    assert exit_code == 2
    assert wrong[0] in said
    assert run("show", "bike-0001")[0] == 1


def test_a_device_nobody_registered_cannot_be_shown() -> None:
    assert run("show", "nobody")[0] == 1


def test_an_empty_quarantine_is_an_empty_list_and_replays_nothing() -> None:
    assert run("quarantine", "list") == (0, "")
    assert run("quarantine", "replay", "7") == (0, "0 frames are marked for replay\n")
    assert run("quarantine", "replay")[0] == 2
