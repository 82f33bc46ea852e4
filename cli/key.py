"""The verb `key`: the key that seals the keys of devices, and keys of programs that ask the API."""

from typing import Annotated

import typer

from cli import api_keys


def register(app: typer.Typer) -> None:
    """Adds the verb with its own verbs."""
    keys = typer.Typer(
        no_args_is_help=True,
        help="Keys of programs that ask the API (./latchkey key create), and the one that seals the keys of devices.",
    )
    keys.callback()(_nothing_without_a_verb)
    keys.command("new")(new)
    api_keys.register(keys)
    app.add_typer(keys, name="key")


def new(
    *, name: Annotated[str, typer.Option(help="Its id: another one for each key that follows.")] = "k1"
) -> None:
    """Prints a new key-encryption key for LATCHKEY_KEY_ENCRYPTION_KEY. Keep it apart from the database.

    To follow an older one put it first (`NEW,OLD`), run ./latchkey device rewrap, then drop the older one.

    Example: ./latchkey key new --name k2
    """
    from gateway.key_wrapping import new_key_encryption_key

    try:
        print(new_key_encryption_key(name))
    except ValueError:
        raise typer.BadParameter("an id has 1 to 32 letters, digits, dots, dashes or underscores") from None


def _nothing_without_a_verb() -> None:
    """Keeps the verbs below it words of their own, however few they are."""
