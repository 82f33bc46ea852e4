from typer.testing import CliRunner

from cli.main import application
from gateway.key_wrapping import KeyWrapping


def said(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(application(("key",)), ["key", *words])
    return result.exit_code, result.stdout


def test_a_new_key_is_one_that_the_setting_takes() -> None:
    code, line = said("new", "--name", "k7")
    assert code == 0
    assert KeyWrapping.parse(line.strip()).newest == "k7"
    assert said("new") != said("new")


def test_a_name_that_cannot_be_an_id_is_refused() -> None:
    assert said("new", "--name", "a:b")[0] == 2
