"""The verb `person`: takes tokens back, and forgets riders who ask for it."""

from typing import Annotated

import psycopg
import typer

from cli.database import database, fail
from cli.device_actions import console

Operator = Annotated[int, typer.Option(min=1, max=524_287, help="Whose.")]
Why = Annotated[str, typer.Option(help="For the audit log.")]


def register(app: typer.Typer) -> None:
    """Adds the verb with its own verbs."""
    people = typer.Typer(
        no_args_is_help=True,
        help="Takes tokens back; forgets riders who ask for it: ./latchkey person erase ID",
    )
    people.command("revoke")(revoke)
    people.command("erase")(erase)
    app.add_typer(people, name="person")


def revoke(
    subject: Annotated[str, typer.Argument(help="As tokens name it in `sub`.")],
    *,
    operator: Operator = 1,
    why: Why = "",
) -> None:
    """Takes back every token of a person or program issued until now; refused within five seconds.

    Example: ./latchkey person revoke ann --why "left the company"
    """
    from gateway.stores.people import take_back_tokens

    with database() as connection:
        try:
            take_back_tokens(connection, operator, subject, by=console().actor, why=why)
        except psycopg.errors.ForeignKeyViolation:
            fail(f"there is no operator {operator}")
    print(f"{subject}: tokens issued until now are refused")


def erase(
    person_id: Annotated[str, typer.Argument(help="The random id, as the audit log names the rider.")],
    *,
    operator: Operator = 1,
    why: Why = "",
) -> None:
    """Forgets who a rider was and ends their tokens. What they did stays in the audit log under the random id, which
    leads to nobody any more; a later login is somebody new.

    Example: ./latchkey person erase u5xk3v2q7m4a6b2c3d4e --why "asked to"
    """
    from gateway.stores.people import erase_person

    with database() as connection:
        if not erase_person(connection, operator, person_id, by=console().actor, why=why):
            fail(f"there is no person {person_id!r} to forget")
    print(f"{person_id}: forgotten")
