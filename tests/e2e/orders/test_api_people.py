"""Tokens, keys and a login with WeChat against the real processes, and no secret of any of them in a log."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from api.auth.api_keys import new_key
from cli.servers.spawn import spawn
from cli.stack import Stack
from gateway.people import KnownKey
from gateway.stores.api_keys import create_key, revoke_key
from gateway.stores.audit import Intact, verify_audit
from gateway.stores.people import erase_person
from tests.support.fake_wechat import APP_ID, SECRET, SESSION_KEY, FakeWeChat, fake_wechat
from tests.support.plain_http import NO_TLS
from tests.support.processes import ChildProcess, bearer, running
from tests.support.stored import NOW_MS
from tests.support.waiting import until

HASH_KEY = "person-hash-key-canary-of-32-bytes-and-more"


@pytest.fixture
def wechat() -> Iterator[FakeWeChat]:
    with fake_wechat() as server:
        yield server


@pytest.fixture
def api(
    stack: Stack, database: str, redis_url: str, wechat: FakeWeChat, tmp_path: Path
) -> Iterator[ChildProcess]:
    environment = stack.environment(
        dsn=database,
        LATCHKEY_WECHAT_URL=wechat.url,
        LATCHKEY_WECHAT_APP_ID=APP_ID,
        LATCHKEY_WECHAT_SECRET=SECRET,
        LATCHKEY_PERSON_HASH_KEY=HASH_KEY,
        LATCHKEY_LOG_LEVEL="debug",
    )
    # As a person starts it: a fork has no arguments of its own to look at.
    with running("api", environment, tmp_path, spawn=spawn) as process:
        yield process


def ask(api: ChildProcess, path: str, token: str = "", **more: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    method = "POST" if more else "GET"
    url = f"http://127.0.0.1:{api.http_port}{path}"
    return httpx.request(
        method, url, headers=headers, json=more or None, trust_env=False, verify=NO_TLS, timeout=30
    )


def test_people_and_programs_come_in_are_known_and_are_shut_out_and_no_log_names_a_secret(
    api: ChildProcess, wechat: FakeWeChat, database: str
) -> None:
    fleet = "/v1/fleet"
    made = new_key()
    with psycopg.connect(database, autocommit=True) as connection:
        known = KnownKey(made.key_id, 1, "service", "billing", made.secret_hash, NOW_MS)
        create_key(connection, known, by="console:me", why="")
        assert ask(api, fleet, made.key).status_code == 200
        wechat.people = {"code-canary": "openid-canary"}
        login = ask(api, "/v1/login/wechat", code="code-canary")
        assert login.status_code == 200
        rider = login.json()["token"]
        assert ask(api, fleet, rider).status_code == 200
        assert ask(api, "/v1/devices", rider).status_code == 403
        assert ask(api, "/v1/login/wechat", code="code-canary").status_code == 401
        assert ask(api, fleet, rider + "x").status_code == 401
        assert ask(api, fleet).status_code == 401

        assert revoke_key(connection, made.key_id, by="console:me", why="lost")
        ((person, kept),) = connection.execute("select person_id, wechat_hash from person").fetchall()
        assert b"openid" not in bytes(kept)
        assert erase_person(connection, 1, person, by="console:me", why="asked to")
    until(lambda: {ask(api, fleet, token).status_code for token in (made.key, rider)} == {401})
    told = httpx.get(
        f"http://127.0.0.1:{api.http_port}/v1/audit",
        headers=bearer(api),
        trust_env=False,
        verify=NO_TLS,
        timeout=30,
    ).json()
    assert [line["action"] for line in told["lines"]] == ["person_erase", "key_revoke", "key_create"]
    assert isinstance(verify_audit(database), Intact)
    arguments = Path(f"/proc/{api.pid}/cmdline").read_text()
    assert api.stop() == 0
    said = api.log_path.read_text() + api.out_path.read_text() + str(told) + arguments
    secrets = [made.key[-43:], rider, SECRET, SESSION_KEY, HASH_KEY, "openid-canary", "code-canary"]
    secrets += [api.environment["LATCHKEY_API_JWT_SECRET"], api.environment["LATCHKEY_KEY_ENCRYPTION_KEY"]]
    assert [one for one in secrets if one in said] == []
