"""The verbs `key create`, `key list` and `key revoke`: keys of programs that ask the API."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import psycopg
import typer

from cli.database import database, fail
from cli.device_actions import console

MAX_DAYS = 3_650
ROLES = ("staff", "operator_admin", "service")

Operator = Annotated[int, typer.Option(min=1, max=524_287, help="Whose.")]
Why = Annotated[str, typer.Option(help="For the audit log.")]


def register(keys: typer.Typer) -> None:
    """Adds them to the verb `key`."""
    keys.command("create")(create)
    keys.command("list")(list_all)
    keys.command("revoke")(revoke)


def create(
    name: Annotated[str, typer.Argument(help="What it is for, as the list shows it.")],
    *,
    role: Annotated[str, typer.Option(help=f"One of {', '.join(ROLES)}.")] = "service",
    operator: Operator = 1,
    days: Annotated[int, typer.Option(min=0, max=MAX_DAYS, help="Until it ends; 0 for never.")] = 365,
    why: Why = "",
) -> None:
    """Makes an API key and prints it once: the database has only its hash.

    Example: ./latchkey key create "billing" --role service --days 90
    """
    from api.auth.api_keys import new_key
    from gateway.people import KnownKey
    from gateway.stores.api_keys import create_key

    if role not in ROLES:
        raise typer.BadParameter(f"role is one of {', '.join(ROLES)}, not {role!r}")
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise typer.BadParameter("a name has 1 to 64 characters that can be read")
    made, now = new_key(), datetime.now(UTC)
    expires_ms = int((now + timedelta(days=days)).timestamp() * 1000) if days else None
    now_ms = int(now.timestamp() * 1000)
    known = KnownKey(made.key_id, operator, role, name, made.secret_hash, now_ms, expires_ms)
    with database() as connection:
        try:
            create_key(connection, known, by=console().actor, why=why)
        except psycopg.errors.ForeignKeyViolation:
            fail(f"there is no operator {operator}")
    print(made.key)
    print("keep it: it is shown this once", file=sys.stderr)


def list_all(*, operator: Operator = 1) -> None:
    """Lists the keys of an operator, without their secrets.

    Example: ./latchkey key list
    """
    from gateway.stores.api_keys import list_keys

    with database() as connection:
        for key in list_keys(connection, operator):
            state = "revoked" if key.revoked_ms else f"until {_day(key.expires_ms)}"
            used = f"used {_day(key.last_used_ms)}" if key.last_used_ms else "never used"
            print(f"{key.key_id}  {key.role:<14}  {state:<16}  {used:<16}  {key.name}")


def revoke(
    key_id: Annotated[str, typer.Argument(help="From the list: the part after lk_.")], *, why: Why = ""
) -> None:
    """Revokes a key: refused within five seconds, and map conversations it opened end within ten.

    Example: ./latchkey key revoke k3n8x0q1z5ab --why "laptop lost"
    """
    from gateway.stores.api_keys import revoke_key

    with database() as connection:
        if not revoke_key(connection, key_id, by=console().actor, why=why):
            fail(f"there is no key {key_id!r} that could be revoked")
    print(f"{key_id}: revoked")


def _day(at_ms: int | None) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat() if at_ms else "for ever"
