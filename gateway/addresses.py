"""Whether the addresses of the stores can be read, said without repeating them: passwords stand in them."""

import psycopg
from psycopg.conninfo import conninfo_to_dict

from gateway.stores.redis_link import RedisAddress


def postgres_dsn(text: str) -> str:
    """The text itself. Raises ValueError when libpq cannot read it."""
    try:
        conninfo_to_dict(text)
    except psycopg.Error:
        # libpq quotes the part that it does not understand, which may be a piece of the password.
        raise ValueError("libpq cannot read it") from None
    return text


def redis_url(text: str) -> str:
    """The text itself. Raises ValueError when it is no address of a Redis."""
    try:
        RedisAddress.parse(text)
    except ValueError:
        raise ValueError("no address of a Redis") from None
    return text
