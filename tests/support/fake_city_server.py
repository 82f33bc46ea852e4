"""Serves a fake city together with the built page: `python -m tests.support.fake_city_server --port 8765`."""

import asyncio
import contextlib
import socket as sockets
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import typer
import uvicorn
from fastapi import APIRouter, FastAPI, HTTPException, WebSocket, WebSocketDisconnect
from fastapi.staticfiles import StaticFiles

from tests.support.fake_city import CityDevice, FakeCity, Json
from tests.support.waiting import until

CHUNK = 100
DIST = Path(__file__).resolve().parents[2] / "web" / "dist"
TELL_EVERY_S = 0.2


class Conversation:
    """What one map client was told."""

    def __init__(self, city: FakeCity) -> None:
        self.city = city
        self.watch: Json | None = None
        self.told: dict[str, int] = {}
        self.fresh = False

    def hear(self, frame: Json) -> None:
        self.watch, self.told, self.fresh = (frame if frame["type"] == "watch" else None), {}, True

    def frame(self) -> Json | None:
        """What there is to say now, at most CHUNK devices of it."""
        watch = self.watch
        if watch is None:
            return None
        if watch["zoom"] < self.city.refuse_below_zoom:
            self.watch = None
            return {
                "type": "refused",
                "id": watch["id"],
                "reason": "too_many_devices",
                "detail": "more than 10000",
            }
        now = {id_: device for id_, device in self.city.devices.items() if wanted(watch, device.shown)}
        vanished = [id_ for id_ in self.told if id_ not in now]
        due = [id_ for id_, device in now.items() if self.told.get(id_) != device.changes]
        if not self.fresh and not due and not vanished:
            return None
        sent = due[:CHUNK]
        news: dict[str, list[Json]] = {"devices": []} if self.fresh else {"shown": [], "moved": []}
        for id_ in sent:
            name = "devices" if self.fresh else "moved" if id_ in self.told else "shown"
            news[name].append(now[id_].shown)
            self.told[id_] = now[id_].changes
        for id_ in vanished:
            del self.told[id_]
        head = {
            "type": "snapshot" if self.fresh else "changes",
            "id": watch["id"],
            "cursor": "fake",
            "stale": False,
        }
        self.fresh = False
        return head | news | {"vanished": vanished, "count": len(self.told), "more": len(due) > CHUNK}


def wanted(watch: Json, shown: Json) -> bool:
    """Whether a watch is to see a device."""
    west, south, east, north = watch["box"]
    return (
        west <= shown["lon"] <= east
        and south <= shown["lat"] <= north
        and shown["kind"] in (watch.get("kinds") or [shown["kind"]])
        and (watch.get("availability") == "any" or shown["available"])
        and (shown["battery_pct"] is None or shown["battery_pct"] >= watch.get("min_battery_pct", 0))
    )


def app_of(city: FakeCity, *, alive: bool) -> FastAPI:
    """The city as a web application; `alive` lets it move by itself."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(live_on(city)) if alive else None
        yield
        if task is not None:
            task.cancel()

    app = FastAPI(lifespan=lifespan)
    app.include_router(routes_of(city))
    if DIST.is_dir():
        app.mount("/", StaticFiles(directory=DIST, html=True))
    return app


def routes_of(city: FakeCity) -> APIRouter:
    """The few routes that the page asks."""
    router = APIRouter()

    @router.websocket("/v1/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        city.sockets.add(socket)
        conversation = Conversation(city)
        teller = asyncio.create_task(tell(socket, conversation))
        try:
            while True:
                said = await socket.receive_json()
                if said["type"] != "hello":
                    conversation.hear(said)
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            teller.cancel()
            city.sockets.discard(socket)

    @router.get("/v1/fleet")
    async def fleet() -> Json:
        return {"devices": len(city.devices), "groups": [], "stale": False}

    @router.get("/v1/devices/{id_}")
    async def device(id_: str) -> Json:
        return device_json(city, id_)

    @router.get("/v1/devices/{id_}/history")
    async def history(id_: str, step: str = "raw") -> Json:
        return {"device_id": id_, "step": step, "points": device_of(city, id_).past, "next": None}

    return router


def device_of(city: FakeCity, id_: str) -> CityDevice:
    """The device with this public id, or this device id. Raises HTTPException when there is none."""
    device = city.devices.get(id_.removeprefix("demo-"))
    if device is None:
        raise HTTPException(404, "There is no device with this id.")
    return device


def device_json(city: FakeCity, id_: str) -> Json:
    """What the device route answers. Raises HTTPException when there is no such device."""
    device = device_of(city, id_)
    shown = device.shown
    return {
        "id": f"demo-{shown['id']}",
        "public_id": shown["id"],
        "marker": shown["marker"],
        "kind": shown["kind"],
        "model": f"demo-{shown['kind']}",
        "presence": "online",
        "heard_at": shown["at"],
        "revision": device.changes,
        "at": shown["at"],
        "position": {"lat": shown["lat"], "lon": shown["lon"], "accuracy_m": 6.0, "fixed_at": shown["at"]},
        "battery_pct": shown["battery_pct"],
        "moving": bool(device.way),
        "lock": {"bolt": "open" if device.way else "closed"} if shown["kind"] == "bike" else None,
        "slots": device.slots,
        "faults": [],
        "alarms": [],
        "signal_dbm": -71,
        "firmware": "1.4.2",
        "availability": {name: shown[name] for name in ("available", "reasons", "units", "spaces")},
    }


async def tell(socket: WebSocket, conversation: Conversation) -> None:
    """Sends what there is to say, a few times a second."""
    while True:
        frame = conversation.frame()
        if frame is not None:
            await socket.send_json(frame)
        if frame is None or not frame.get("more"):
            await asyncio.sleep(TELL_EVERY_S)


async def live_on(city: FakeCity) -> None:
    """Turns the city while the server runs."""
    while True:
        city.turn(time.monotonic())
        await asyncio.sleep(0.2)


class Served:
    """A fake city behind a port of loopback, for the length of a test."""

    def __init__(self, city: FakeCity) -> None:
        self.city = city
        self._listener = sockets.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        config = uvicorn.Config(
            app_of(city, alive=False),
            log_level="warning",
            ws="websockets-sansio",
            lifespan="off",
            timeout_graceful_shutdown=5,
        )
        self._server = uvicorn.Server(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def start(self) -> None:
        """Returns when it answers."""
        self._thread.start()
        until(lambda: self._server.started)

    def drop_connections(self) -> None:
        """Closes every map conversation, as a server that is restarted would."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self.city.drop_connections(), self._loop).result(30)

    def close(self) -> None:
        """Returns when its thread has ended; a second time does nothing."""
        self._server.should_exit = True
        self._thread.join(30)
        self._listener.close()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve([self._listener])


@contextlib.contextmanager
def serving(city: FakeCity) -> Iterator[Served]:
    """Serves `city`, which moves only when the test moves it."""
    served = Served(city)
    served.start()
    try:
        yield served
    finally:
        served.close()


def main(port: int = 8765, seed: int = 1, bikes: int = 3200, cabinets: int = 420, lockers: int = 180) -> None:
    """Serves a busy city and the built page on loopback."""
    city = FakeCity(seed)
    city.settle(bikes, cabinets, lockers)
    uvicorn.run(
        app_of(city, alive=True), host="127.0.0.1", port=port, log_level="warning", ws="websockets-sansio"
    )


if __name__ == "__main__":
    typer.run(main)
