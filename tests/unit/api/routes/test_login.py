"""A login takes one code and nothing else, and not too often from one address."""

import pytest

from api.auth.limits import LIMITS
from tests.unit.api.surface import serving


async def test_where_no_login_is_offered_it_says_so() -> None:
    async with serving() as surface:
        answer = await surface.http.post("/v1/login/wechat", json={"code": "abc"})
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:latchkey:problem:login_not_offered")


@pytest.mark.parametrize(
    "body", [{}, {"code": ""}, {"code": "a b"}, {"code": "a" * 129}, {"code": "a", "role": "staff"}, []]
)
async def test_anything_but_a_code_is_refused(body: object) -> None:
    async with serving() as surface:
        assert (await surface.http.post("/v1/login/wechat", json=body)).status_code == 422


async def test_one_address_that_tries_for_ever_is_told_to_wait() -> None:
    async with serving() as surface:
        statuses, answer = [], None
        for _ in range(LIMITS["login", "address"].at_once + 5):
            answer = await surface.http.post("/v1/login/wechat", json={"code": "guess"})
            statuses.append(answer.status_code)
        assert statuses.count(429) == 5
        assert answer is not None
        assert int(answer.headers["retry-after"]) >= 1
