"""The verb `audit`: shows that nobody changed the log of who did what."""

import sys
from typing import Annotated

import psycopg
import typer

from cli import running


def register(app: typer.Typer) -> None:
    """Adds the verb with its own verb."""
    audits = typer.Typer(
        no_args_is_help=True, help="Whether anybody changed the log of who did what: ./latchkey audit verify"
    )
    audits.callback()(_nothing_without_a_verb)
    audits.command("verify")(verify)
    app.add_typer(audits, name="audit")


def verify(
    *,
    expect: Annotated[
        str, typer.Option(help="NUMBER:HASH as an earlier run printed it: that row must still be there.")
    ] = "",
) -> None:
    """Walks the whole chain; exit code 1 with the first row that is not as it was written.

    Write the last line down somewhere else: whoever owns the database could make a whole new chain, but not one
    with that hash in it.

    ./latchkey audit verify

    ./latchkey audit verify --expect 4711:9f31c2ab…
    """
    from gateway.stores.audit import Broken, hash_of, verify_audit

    dsn = running.setting(running.POSTGRES_DSN)
    number, _, hashed = expect.partition(":")
    if expect and not (number.isdigit() and hashed):
        raise typer.BadParameter("--expect looks like 4711:9f31c2ab…")
    try:
        outcome = verify_audit(dsn)
        found = hash_of(dsn, int(number)) if expect else None
    except psycopg.Error as error:
        print(f"latchkey: the log cannot be read: {error}", file=sys.stderr)
        raise typer.Exit(2) from error
    if isinstance(outcome, Broken):
        print(f"row {outcome.number} {outcome.what}")
        raise typer.Exit(1)
    if expect and (found is None or found.hex() != hashed):
        print(f"row {number} is not the one that was seen before")
        raise typer.Exit(1)
    print(f"{outcome.rows} rows, none of them changed")
    print(f"{outcome.rows}:{outcome.hash.hex()}")


def _nothing_without_a_verb() -> None:
    """Keeps the verb below it a word of its own."""
