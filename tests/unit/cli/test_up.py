import socket

from typer.testing import CliRunner

from cli.main import application
from cli.stack import Stack
from cli.up import addresses


def test_the_help_says_what_comes_next() -> None:
    answer = CliRunner().invoke(application(("up",)), ["up", "--help"], terminal_width=200)
    assert answer.exit_code == 0
    assert "./latchkey device register bike-0001" in answer.output


def test_a_port_that_is_taken_is_said_before_anything_starts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        answer = CliRunner().invoke(application(("up",)), ["up", "--port", port], terminal_width=200)
    assert answer.exit_code == 2
    assert f"port {port} cannot be had (Address already in use)" in answer.output


def test_the_addresses_are_those_of_this_stack_and_the_token_is_in_the_page_alone(stack: Stack) -> None:
    said = addresses(stack, 8080, 9090, "a-token").splitlines()
    assert said[0].split()[1] == "http://127.0.0.1:8080/#token=a-token"
    assert f"mqtt://127.0.0.1:{stack.broker.device_port} " in said[4]
    assert str(stack.root) in said[5]
    assert "http://127.0.0.1:9090/readyz," in said[2].split()
    assert [line for line in said[1:] if "a-token" in line] == []
