"""Every error is a problem with the members of RFC 9457."""

import pytest

from api.problems import MAX_SAID_CHARS, MEDIA_TYPE, TYPE_PREFIX, printable
from tests.unit.api.surface import serving


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/v1/fleet", 405, "method_not_allowed"),
        ("GET", "/v1/nearby?lat=100&lon=0", 422, "bad_request"),
        ("GET", "/v1/devices?limit=0", 422, "bad_request"),
        ("GET", "/v1/devices/nobody", 404, "device_not_found"),
        ("GET", "/v1/devices/%00", 422, "bad_request"),
    ],
)
async def test_an_error_is_a_problem(method: str, path: str, status: int, kind: str) -> None:
    async with serving() as surface:
        answer = await surface.http.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == MEDIA_TYPE
        problem = answer.json()
        assert problem["type"] == TYPE_PREFIX + kind
        assert problem["status"] == status
        assert problem["title"]
        assert problem["detail"]
        assert problem["instance"].startswith("/")
        assert (kind != "bad_request") or problem["fields"][0]["field"]


async def test_a_store_that_is_away_is_503_with_a_time_to_come_back() -> None:
    async with serving() as surface:
        surface.truth.is_away = True
        answer = await surface.http.get("/v1/devices")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["type"] == TYPE_PREFIX + "store_unavailable"


def test_what_a_peer_said_is_shown_clean_and_short() -> None:
    assert printable("a\x00\n" + "b" * 500) == "a??" + "b" * (MAX_SAID_CHARS - 3)
