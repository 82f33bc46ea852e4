"""A login asks the other server once, keeps no openid, and turns every answer of it into one of ours."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from structlog.testing import capture_logs

from api.auth import fetching
from api.auth.settings import WeChatSettings
from api.auth.tokens import verify
from tests.support.fake_wechat import APP_ID, SECRET, SESSION_KEY, FakeWeChat, fake_wechat
from tests.unit.api.surface import NOW_MS, Surface, serving

HASH_KEY = b"the key of the hash, long enough for anybody"


@pytest.fixture
def wechat() -> Iterator[FakeWeChat]:
    with fake_wechat() as server:
        yield server


@pytest.fixture
async def surface(wechat: FakeWeChat) -> AsyncIterator[Surface]:
    async with serving(wechat=WeChatSettings(wechat.url, APP_ID, SECRET, 7, HASH_KEY)) as running:
        yield running


async def _login(surface: Surface, code: str) -> httpx.Response:
    return await surface.http.post("/v1/login/wechat", json={"code": code}, headers={"Authorization": ""})


async def test_a_code_gives_a_riders_token_of_the_operator(surface: Surface, wechat: FakeWeChat) -> None:
    wechat.people = {"first": "openid-canary", "second": "openid-canary", "third": "another"}
    with capture_logs() as logs:
        answers = [await _login(surface, code) for code in ("first", "second", "third")]
    assert [one.status_code for one in answers] == [200, 200, 200]
    people = [verify(one.json()["token"], surface.gate.rules, now_s=NOW_MS / 1000) for one in answers]
    assert {(who.role, who.operator_id) for who in people} == {("rider", 7)}
    assert people[0].subject == people[1].subject != people[2].subject
    expected = hmac.new(HASH_KEY, f"{APP_ID}:openid-canary".encode(), hashlib.sha256).digest()
    assert (7, expected) in surface.people.riders
    said = str(logs) + str([one.text for one in answers]) + str(surface.people.riders)
    assert not [word for word in ("openid-canary", SESSION_KEY, SECRET) if word in said]


async def test_a_code_is_good_once(surface: Surface, wechat: FakeWeChat) -> None:
    wechat.people = {"once": "somebody"}
    assert (await _login(surface, "once")).status_code == 200
    again = await _login(surface, "once")
    assert (again.status_code, again.json()["type"]) == (401, "urn:latchkey:problem:login_refused")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (json.dumps({"errcode": 40029}), 401),
        (json.dumps({"errcode": 40163}), 401),
        (json.dumps({"errcode": 40226}), 403),
        (json.dumps({"errcode": 45011}), 429),
        (json.dumps({"errcode": -1, "errmsg": "busy"}), 503),
        (json.dumps({"errcode": 40125}), 503),
        (json.dumps({"errcode": {"deep": 1}}), 503),
        (json.dumps({"openid": ""}), 503),
        (json.dumps({"openid": ["x"]}), 503),
        (json.dumps({"openid": "x" * 129}), 503),
        (json.dumps(["openid"]), 503),
        ("{", 503),
        ("[" * 60_000, 503),
        ("", 503),
        (json.dumps({"openid": "x", "more": "y" * fetching.MAX_ANSWER_BYTES}), 503),
    ],
)
async def test_whatever_it_answers_is_a_problem_of_ours(
    surface: Surface, wechat: FakeWeChat, body: str, status: int
) -> None:
    wechat.says["odd"] = body.encode()
    answer = await _login(surface, "odd")
    assert answer.status_code == status
    assert answer.json()["type"].startswith("urn:latchkey:problem:")
    assert (status in (429, 503)) == ("retry-after" in answer.headers)
    assert SECRET not in answer.text


async def test_who_does_not_answer_is_given_up(
    surface: Surface, wechat: FakeWeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching.fetch_json, "__kwdefaults__", {"deadline_s": 0.2})
    assert (await _login(surface, "slow")).status_code == 503
    assert wechat.asked == ["slow"]


async def test_nobody_listens_there() -> None:
    async with serving(wechat=WeChatSettings("http://127.0.0.1:1/", APP_ID, SECRET, 7, HASH_KEY)) as surface:
        assert (await _login(surface, "x")).status_code == 503


async def test_a_wrong_secret_is_our_trouble_and_not_the_riders(wechat: FakeWeChat) -> None:
    wechat.people = {"code": "somebody"}
    async with serving(wechat=WeChatSettings(wechat.url, APP_ID, "wrong", 7, HASH_KEY)) as surface:
        with capture_logs() as logs:
            assert (await _login(surface, "code")).status_code == 503
    assert [one["errcode"] for one in logs if one["event"] == "wechat_refused"] == [40125]
