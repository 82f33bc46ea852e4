"""The link to Redis: deadlines, order of replies, no second tries, and the way back."""

import asyncio
from collections.abc import AsyncIterator

import hiredis
import pytest
import redis

from gateway.ports import StoreUnavailable
from gateway.stores.redis_link import RedisAddress, RedisLink, Reply, no_error
from tests.support.waiting import DEADLINE_S


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(redis_url, name="test")
    yield link
    await link.close()


def test_addresses() -> None:
    assert RedisAddress.parse("redis://127.0.0.1:7777/3") == RedisAddress("127.0.0.1", 7777, "", "", 3, False)
    assert RedisAddress.parse("rediss://u:p%40ss@redis.example") == RedisAddress(
        "redis.example", 6379, "u", "p@ss", 0, True
    )
    for wrong in ("http://127.0.0.1", "redis://", "127.0.0.1:6379"):
        with pytest.raises(ValueError):
            RedisAddress.parse(wrong)


async def test_replies_come_in_order_and_errors_are_values(link: RedisLink) -> None:
    replies = await link.execute([("SET", "k", 1), ("INCR", "k"), ("HGET", "k", "f"), ("GET", b"k")])
    assert replies[:2] == [b"OK", 2]
    assert isinstance(replies[2], hiredis.ReplyError)
    assert replies[3] == b"2"
    with pytest.raises(StoreUnavailable):
        no_error(replies[2])


async def test_concurrent_callers_get_their_own_replies(link: RedisLink) -> None:
    async def ask(number: int) -> None:
        text = str(number)
        assert await link.execute([("ECHO", text)] * 3) == [text.encode()] * 3

    await asyncio.gather(*(ask(number) for number in range(200)))


async def test_a_cancelled_caller_costs_nobody_else_their_reply(link: RedisLink) -> None:
    await link.ready()
    asked = asyncio.ensure_future(link.execute([("BLPOP", "never", "0.05")]))
    await asyncio.sleep(0)
    asked.cancel()
    assert await link.execute([("ECHO", "mine")]) == [b"mine"]


async def test_the_run_id_is_the_servers(redis_url: str, link: RedisLink) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert await link.ready() == client.info("server")["run_id"]


async def test_a_connection_that_was_cut_is_made_again(redis_url: str, link: RedisLink) -> None:
    await link.ready()
    with redis.Redis.from_url(redis_url) as client:
        (ours,) = [one["id"] for one in client.client_list() if one["name"] == "test"]
        client.client_kill_filter(_id=ours)

    async with asyncio.timeout(DEADLINE_S):
        assert await _at_last(link) == [b"again"]


async def _at_last(link: RedisLink) -> list[Reply]:
    while True:
        try:
            return await link.execute([("ECHO", "again")])
        except StoreUnavailable:
            await asyncio.sleep(0.01)


async def test_nobody_listening_is_unavailable_at_once_and_while_it_pauses() -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    link = RedisLink(f"redis://127.0.0.1:{port}", name="test", chance=lambda: 1.0)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await link.execute([("PING",)])
    await link.close()
    with pytest.raises(StoreUnavailable):
        await link.execute([("PING",)])


async def test_a_command_without_an_answer_is_given_up_and_never_repeated() -> None:
    received: list[bytes] = []

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"INFO")
        writer.write(b"+OK\r\n$12\r\nrun_id:abcde\r\n")
        while data := await reader.read(65_536):
            received.append(data)
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        link = RedisLink(f"redis://127.0.0.1:{port}", name="test", deadline_s=0.5)
        with pytest.raises(StoreUnavailable):
            await link.execute([("INCR", "k")])
        with pytest.raises(StoreUnavailable):
            await link.execute([("INCR", "other")])
        await link.close()
    assert b"".join(received).count(b"\r\nk\r\n") == 1
