from typer.testing import CliRunner

from cli.main import application
from cli.stack import Stack
from cli.up import addresses


def test_the_help_says_what_comes_next() -> None:
    answer = CliRunner().invoke(application(("up",)), ["up", "--help"], terminal_width=200)
    assert answer.exit_code == 0
    assert "./latchkey device register bike-0001" in answer.output


def test_the_addresses_are_those_of_this_stack_and_the_token_is_in_the_page_alone(stack: Stack) -> None:
    said = addresses(stack, 8080, "a-token").splitlines()
    assert said[0].split()[1] == "http://127.0.0.1:8080/#token=a-token"
    assert f"mqtt://127.0.0.1:{stack.broker.device_port} " in said[3]
    assert str(stack.root) in said[4]
    assert [line for line in said[1:] if "a-token" in line] == []
