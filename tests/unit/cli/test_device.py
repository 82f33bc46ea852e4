import pytest
from typer.testing import CliRunner

from cli.main import application
from cli.running import POSTGRES_DSN


def run(*arguments: str) -> tuple[int, str]:
    answer = CliRunner().invoke(application(("device",)), ["device", *arguments])
    return answer.exit_code, answer.output


@pytest.fixture(autouse=True)
def _database(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POSTGRES_DSN, database)
    monkeypatch.delenv("LATCHKEY_BROKER_PASSWORDS", raising=False)


def test_a_device_is_registered_listed_and_shown() -> None:
    exit_code, said = run("register", "bike-0001", "--model", "city_bike", "--kind", "bike")
    assert exit_code == 0
    assert "/bike-0001/" in said
    assert "bike-0001" in run("list")[1]
    assert "city_bike" in run("show", "bike-0001")[1]


def test_a_device_without_a_known_model_is_refused_with_what_to_do() -> None:
    exit_code, said = run("register", "bike-0001", "--model", "unheard_of")
    assert exit_code == 1
    assert "--kind" in said


@pytest.mark.parametrize("device_id", ["lk-gw-07", "has space", "a/b", "x" * 33])
def test_an_id_that_no_device_can_have_is_refused(device_id: str) -> None:
    assert run("register", device_id, "--model", "city_bike", "--kind", "bike")[0] == 1


def test_a_device_nobody_registered_cannot_be_shown() -> None:
    assert run("show", "nobody")[0] == 1


def test_an_empty_quarantine_is_an_empty_list_and_replays_nothing() -> None:
    assert run("quarantine", "list") == (0, "")
    assert run("quarantine", "replay", "7") == (0, "0 frames are marked for replay\n")
    assert run("quarantine", "replay")[0] == 2
