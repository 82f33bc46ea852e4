"""A body that is too large is a problem, whether or not it says its length."""

from collections.abc import AsyncIterator

import pytest

from api.problems import MAX_BODY_BYTES, MEDIA_TYPE, TYPE_PREFIX
from tests.unit.api.surface import serving

PATHS = ("/v1/devices/bike-1/commands", "/v1/enrol", "/v1/broker/auth", "/v1/login/wechat", "/v1/unknown")


async def in_pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1024):
        yield b" " * 1024


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_beyond_64_kib_is_a_413_problem_with_its_length_and_without(path: str) -> None:
    async with serving() as surface:
        for body in (b" " * (MAX_BODY_BYTES + 1), in_pieces(MAX_BODY_BYTES + 2048)):
            if path == "/v1/unknown" and not isinstance(body, bytes):
                continue  # Nobody reads it.
            headers = {"Content-Type": "application/json", "Idempotency-Key": "large-body"}
            answer = await surface.http.post(path, content=body, headers=headers)
            assert (answer.status_code, answer.headers["content-type"]) == (413, MEDIA_TYPE)
            problem = answer.json()
            assert problem["type"] == TYPE_PREFIX + "body_too_large"
            assert problem["instance"] == path
            assert "65536 bytes" in problem["detail"]


async def test_a_body_of_64_kib_is_read() -> None:
    async with serving() as surface:
        answer = await surface.http.post("/v1/enrol", content=b" " * MAX_BODY_BYTES)
        assert answer.status_code == 422
