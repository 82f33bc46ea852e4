"""The database has a key's hash, and when it was last used; a revoked one is found as such."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from api.auth.api_keys import new_key, principal_of_key
from api.auth.tokens import BadToken
from gateway.people import KnownKey
from gateway.stores.api_keys import PostgresApiKeys, create_key, list_keys, revoke_key
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.reading_pool import ReadingPool
from tests.support.stored import NOW_MS


@pytest.fixture
async def keys(database: str) -> AsyncIterator[PostgresApiKeys]:
    pool, link = ReadingPool(database), PostgresLink(database, name="keys")
    await pool.open()
    yield PostgresApiKeys(pool, link)
    await link.close()
    await pool.close()


async def test_a_key_is_found_used_and_revoked(keys: PostgresApiKeys, database: str) -> None:
    made = new_key()
    with psycopg.connect(database, autocommit=True) as connection:
        known = KnownKey(made.key_id, 1, "staff", "desk", made.secret_hash, NOW_MS, NOW_MS + 1_000)
        create_key(connection, known, by="console:me", why="")
        found = await keys.find(made.key_id)
        assert found is not None
        assert (found.role, found.name, found.expires_ms) == ("staff", "desk", NOW_MS + 1_000)
        assert principal_of_key(made.key, found, now_ms=NOW_MS).name == f"staff:key-{made.key_id}"
        with pytest.raises(BadToken):
            principal_of_key(made.key, found, now_ms=NOW_MS + 1_000)
        await keys.note_used([made.key_id], NOW_MS + 5)
        await keys.note_used([made.key_id], NOW_MS + 3)
        assert list_keys(connection, 1)[0].last_used_ms == NOW_MS + 5
        assert list_keys(connection, 2) == []
        assert revoke_key(connection, made.key_id, by="console:me", why="lost")
        assert not revoke_key(connection, made.key_id, by="console:me", why="lost")
    after = await keys.find(made.key_id)
    assert after is not None
    assert not after.is_good(NOW_MS)
    assert await keys.find("nobodyhasit0") is None
