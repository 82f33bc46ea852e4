"""The verb `migrate`: brings a database's schema up to date."""

import os
import sys
from typing import Annotated

import typer

from cli.running import POSTGRES_DSN, setting
from cli.settings import timescale_choice


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("migrate")(migrate)


def migrate(
    *,
    dsn: Annotated[str, typer.Option(help="The database; LATCHKEY_POSTGRES_DSN unless given.")] = "",
    timescale: Annotated[
        str, typer.Option(help="auto, off or require; LATCHKEY_TIMESCALE unless given.")
    ] = "",
) -> None:
    """Applies the migrations that are missing, one process at a time; safe to repeat.

    The first run decides between TimescaleDB and plain PostgreSQL, and the database keeps that choice.

    Example: ./latchkey migrate --dsn postgresql://latchkey@db/latchkey --timescale require
    """
    import psycopg

    from gateway.addresses import postgres_dsn
    from gateway.stores.migrate import MigrationRefused
    from gateway.stores.migrate import migrate as bring_up_to_date

    try:
        address = postgres_dsn(dsn or setting(POSTGRES_DSN))
    except ValueError as error:
        raise typer.BadParameter(f"the connection string cannot be used: {error}") from None
    try:
        done = bring_up_to_date(
            address,
            timescale_choice(timescale or os.environ.get("LATCHKEY_TIMESCALE", "auto")),
        )
    except MigrationRefused as refused:
        print(f"latchkey: {refused}", file=sys.stderr)
        raise typer.Exit(1) from refused
    except psycopg.OperationalError as away:
        print(f"latchkey: PostgreSQL: {str(away).splitlines()[0]}", file=sys.stderr)
        raise typer.Exit(1) from away
    print(done.line)
    for name in done.applied:
        print(f"applied {name}")
    if not done.applied:
        print("the schema was up to date")
