"""The command line asks the API."""

import asyncio

import pytest

from cli.api_client import ApiClient, BadAddress, Refused, Unanswered
from tests.unit.api.surface import known, serving


async def test_answers_and_refusals_are_told_apart() -> None:
    async with serving() as surface:
        surface.truth.registered = [known("d1")]
        client = ApiClient(f"http://127.0.0.1:{surface.port}/", surface.token())
        listed = await asyncio.to_thread(client.get, "/v1/devices")
        assert [one["id"] for one in listed["devices"]] == ["d1"]
        with pytest.raises(Refused, match="No device has this id") as refused:
            await asyncio.to_thread(client.get, "/v1/devices/d2")
        assert refused.value.status == 404


async def test_a_bad_token_is_a_refusal() -> None:
    async with serving() as surface:
        client = ApiClient(f"http://127.0.0.1:{surface.port}", "no")
        with pytest.raises(Refused) as refused:
            await asyncio.to_thread(client.get, "/v1/devices")
        assert refused.value.status == 401


def test_nobody_there_is_said_with_the_address() -> None:
    with pytest.raises(Unanswered, match=r"http://127\.0\.0\.1:1 "):
        ApiClient("http://127.0.0.1:1", "t").get("/v1/devices")


def test_the_token_is_not_shown() -> None:
    assert "secret" not in repr(ApiClient("http://a", "secret"))


@pytest.mark.parametrize("address", ["localhost:8080", "http://h:99999", "http://[::1", "http://", ""])
def test_what_is_no_address_is_refused_with_one_that_is(address: str) -> None:
    with pytest.raises(BadAddress, match="looks like http://"):
        ApiClient(address, "t")
