"""The command line: finds the verb, loads only what it needs, says in one line what went wrong."""

import sys
from importlib import import_module
from typing import NoReturn

import typer

from cli.servers.errors import StackError

VERBS = (
    "demo",
    "up",
    "gateway",
    "api",
    "sim",
    "migrate",
    "device",
    "key",
    "person",
    "audit",
    "doctor",
    "check",
    "test",
    "bench",
    "chaos",
    "laws",
    "broker-files",
)
"""Each is `cli/VERB.py` with a function `register(app)` (a dash is an underscore there); the help keeps the order."""

HELP = """The open device gateway for shared hardware: bikes and scooters, power-bank cabinets, lockers.

\b
Start here:
  ./latchkey demo                            a simulated fleet on a live map
  ./latchkey demo --devices 5000 --for 60
  ./latchkey doctor                          what is missing here, and what mends it

\b
With servers of your own, named by LATCHKEY_* variables:
  ./latchkey migrate
  ./latchkey gateway
  ./latchkey api

`./latchkey VERB --help` says more and has examples.
"""


def first_sentence(text: str) -> str:
    """Of the first paragraph, in one line."""
    line = " ".join(text.strip().partition("\n\n")[0].split())
    sentence, dot, _ = line.partition(". ")
    return sentence + dot.rstrip()


def application(verbs: tuple[str, ...]) -> typer.Typer:
    """The command line with these verbs."""
    app = typer.Typer(
        help=HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    @app.callback()
    def latchkey() -> None:
        """Keeps VERB a word of its own when only one verb is loaded."""

    for verb in verbs:
        import_module(f"cli.{verb.replace('-', '_')}").register(app)
    _say_whole_sentences(app)
    return app


def _say_whole_sentences(app: typer.Typer) -> None:
    """Of every verb in the help of its group: without this they are cut off where the line ends."""
    for command in app.registered_commands:
        does = command.help or (command.callback and command.callback.__doc__) or ""
        command.short_help = first_sentence(does)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            group.short_help = first_sentence(group.typer_instance.info.help or "")
            _say_whole_sentences(group.typer_instance)


def main() -> NoReturn:
    """Runs the verb in sys.argv and exits with its code."""
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    verbs = (asked,) if asked in VERBS else VERBS
    try:
        application(verbs)(prog_name="./latchkey")
    except StackError as error:
        print(f"latchkey: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)
