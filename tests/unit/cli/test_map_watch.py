"""A map client against a real WebSocket server: it holds what it was told, comes back, and times reports only."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from cli.map_watch import MapWatch
from tests.support.waiting import until_async

BOX = (103.6, 1.2, 104.05, 1.48)
LONG_AGO_MS = 1_000


def device(public_id: str, at_ms: int = LONG_AGO_MS) -> dict[str, Any]:
    return {"id": public_id, "at": at_ms}


def changes(**more: Any) -> str:
    return json.dumps({"type": "changes", "shown": [], "moved": [], "vanished": []} | more)


def snapshot(*public_ids: str) -> str:
    return json.dumps({"type": "snapshot", "devices": [device(public_id) for public_id in public_ids]})


@asynccontextmanager
async def watched(
    serve_one: Callable[[ServerConnection], Awaitable[None]], timed: frozenset[str] = frozenset()
) -> AsyncIterator[MapWatch]:
    async with serve(serve_one, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        watch = MapWatch(f"ws://127.0.0.1:{port}/v1/live", BOX, timed=timed)
        watching = asyncio.create_task(watch.run())
        try:
            yield watch
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


async def test_it_asks_for_everything_in_the_box_and_holds_what_it_is_told() -> None:
    asked: list[Any] = []

    async def town(socket: ServerConnection) -> None:
        asked.append(json.loads(await socket.recv()))
        await socket.send(snapshot("a", "b"))
        await socket.send(changes(shown=[device("c")], moved=[device("a", 2_000)], vanished=["b"]))
        await socket.wait_closed()

    async with watched(town) as watch:
        await until_async(lambda: watch.changes == 3)
    assert asked == [{"type": "watch", "id": 1, "box": list(BOX), "zoom": 11, "availability": "any"}]
    assert watch.devices == {"a": device("a", 2_000), "c": device("c")}


async def test_a_lost_connection_is_made_again_and_the_new_snapshot_counts() -> None:
    visits = 0

    async def fickle(socket: ServerConnection) -> None:
        nonlocal visits
        visits += 1
        await socket.send(snapshot("gone") if visits == 1 else snapshot("back"))
        if visits == 1:
            socket.transport.abort()
        await socket.wait_closed()

    async with watched(fickle) as watch:
        await until_async(lambda: "back" in watch.devices)
    assert set(watch.devices) == {"back"}


async def test_a_server_that_is_not_there_yet_is_waited_for() -> None:
    async with serve(lambda socket: socket.wait_closed(), "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
    watch = MapWatch(f"ws://127.0.0.1:{port}/v1/live", BOX)
    watching = asyncio.create_task(watch.run())

    async def town(socket: ServerConnection) -> None:
        await socket.send(snapshot("a"))
        await socket.wait_closed()

    async with serve(town, "127.0.0.1", port):
        await until_async(lambda: set(watch.devices) == {"a"})
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def test_only_new_reports_of_timed_devices_are_timed() -> None:
    async def town(socket: ServerConnection) -> None:
        await socket.send(snapshot("timed", "other"))
        now_ms = round(time.time() * 1000)
        await socket.send(changes(moved=[device("other", now_ms - 50_000)]))
        await socket.send(changes(moved=[device("timed", LONG_AGO_MS)]))
        await socket.send(changes(moved=[device("timed", now_ms - 5_000)], shown=[device("new", now_ms)]))
        # After a large snapshot the rest is shown piece by piece, known or not.
        await socket.send(snapshot())
        await socket.send(changes(shown=[device("timed", now_ms - 5_000)]))
        await socket.wait_closed()

    async with watched(town, frozenset(("timed", "new"))) as watch:
        await until_async(lambda: watch.changes == 5)
    assert watch.lags.count == 2
    slowest_ms = watch.lags.percentile_ms(1.0)
    assert slowest_ms is not None
    assert 5_000 <= slowest_ms < 50_000


async def test_a_refusal_is_remembered_with_its_reason() -> None:
    async def strict(socket: ServerConnection) -> None:
        await socket.send(json.dumps({"type": "refused", "reason": "box_too_wide", "detail": "zoom in"}))
        await socket.wait_closed()

    async with watched(strict) as watch:
        await until_async(lambda: watch.refused)
    assert watch.refused == "box_too_wide: zoom in"
    assert watch.lags.percentile_ms(0.5) is None
