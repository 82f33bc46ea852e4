"""A seeded city that speaks `/v1/live` and the device routes, so the page can be worked on without a gateway.

`python -m tests.support.fake_city --port 8765` serves it together with the built page.
"""

import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
import uvicorn
from fastapi import FastAPI, HTTPException, WebSocket, WebSocketDisconnect
from fastapi.staticfiles import StaticFiles

CENTRE_LAT, CENTRE_LON = 1.3030, 103.8510
STREET_M = 260.0
M_PER_DEG = 111_320.0
CHUNK = 100
DIST = Path(__file__).resolve().parents[2] / "web" / "dist"

Json = dict[str, Any]


@dataclass
class CityDevice:
    """One device as the fake knows it: what the map shows, and what only the card shows."""

    shown: Json
    changes: int = 1
    slots: list[Json] = field(default_factory=list)
    way: list[tuple[float, float]] = field(default_factory=list)
    """Crossings still to ride to; empty while parked."""
    past: list[Json] = field(default_factory=list)
    next_report_s: float = 0.0

    def say(self, **news: object) -> None:
        """The device reports: `news` replaces what the map shows of it."""
        self.shown = {**self.shown, **news, "at": int(time.time() * 1000)}
        self.changes += 1
        self.past.append(point_of(self.shown))
        del self.past[:-400]


def point_of(shown: Json) -> Json:
    """A history point of what is shown now."""
    return {name: shown[name] for name in ("at", "lat", "lon", "battery_pct", "units")}


class FakeCity:
    """All devices of the city; riders ride along its streets with every `turn`."""

    def __init__(self, seed: int = 1) -> None:
        self.devices: dict[str, CityDevice] = {}
        self.chance = random.Random(seed)
        self.sockets: set[WebSocket] = set()
        self.refuse_all = False

    def put(self, id_: str, kind: str, lat: float, lon: float, **more: object) -> CityDevice:
        """Adds a device, available unless `more` says otherwise."""
        shown: Json = {
            "id": id_,
            "marker": self.chance.randrange(100_000_000, 999_999_999),
            "kind": kind,
            "lat": lat,
            "lon": lon,
            "available": True,
            "reasons": [],
            "battery_pct": 80,
            "units": 1,
            "spaces": 0,
            "at": int(time.time() * 1000),
        }
        device = CityDevice(shown | more)
        device.past.append(point_of(device.shown))
        self.devices[id_] = device
        return device

    def crossing(self, column: int, row: int) -> tuple[float, float]:
        """Where two streets cross: a bent and turned grid, the same for every seed."""
        x, y = column * STREET_M, row * STREET_M * 0.8
        x += 90 * math.sin(row * 0.7) + 60 * math.sin(column * 1.7 + row)
        y += 110 * math.sin(column * 0.45) + 50 * math.cos(row * 1.3 - column)
        turned_x, turned_y = 0.93 * x - 0.36 * y, 0.36 * x + 0.93 * y
        return CENTRE_LAT + turned_y / M_PER_DEG, CENTRE_LON + turned_x / M_PER_DEG

    def somewhere(self) -> tuple[int, int]:
        """A crossing, more often in the middle of one of a few quarters."""
        column, row, spread = self.chance.choice(((0, 0, 5.0), (9, 4, 3.0), (-9, 6, 3.5), (4, -9, 3.0), (0, 0, 13.0)))
        return round(self.chance.gauss(column, spread)), round(self.chance.gauss(row, spread))

    def settle(self, bikes: int, cabinets: int, lockers: int) -> None:
        """Fills the city."""
        for number in range(bikes):
            self._settle_bike(number)
        for kind, count, sizes in (("cabinet", cabinets, (8, 12, 24, 48)), ("locker", lockers, (12, 20, 36))):
            for number in range(count):
                self._settle_station(kind, number, self.chance.choice(sizes))

    def _settle_bike(self, number: int) -> None:
        column, row = self.somewhere()
        here, there = self.crossing(column, row), self.crossing(column + 1, row)
        part = self.chance.random()
        lat = here[0] + (there[0] - here[0]) * part + self.chance.gauss(0, 0.00006)
        lon = here[1] + (there[1] - here[1]) * part + self.chance.gauss(0, 0.00006)
        device = self.put(f"b{number:05d}", "bike", lat, lon, battery_pct=self.chance.randint(18, 100))
        fate = self.chance.random()
        since = int(time.time() * 1000) - self.chance.randrange(60_000, 40_000_000)
        if fate < 0.16:
            device.way = self.route(column, row)
            device.say(available=False, units=0, reasons=reasons(since, "bolt_not_closed", "in_motion"))
        elif fate < 0.21:
            device.say(battery_pct=self.chance.randint(2, 14), available=False, units=0, reasons=reasons(since, "low_battery"))
        elif fate < 0.25:
            device.say(available=False, units=0, reasons=reasons(since, self.chance.choice(("quiet", "quiet", "lost"))))
        elif fate < 0.265:
            device.say(available=False, units=0, reasons=reasons(since, self.chance.choice(("fault", "alarm"))))

    def _settle_station(self, kind: str, number: int, size: int) -> None:
        lat, lon = self.crossing(*self.somewhere())
        device = self.put(f"{kind[0]}{number:04d}", kind, lat + 0.0002, lon + 0.0002, battery_pct=None)
        full = self.chance.random()
        for slot in range(1, size + 1):
            taken = self.chance.random() < full
            unit = f"PB{self.chance.randrange(10**6):06d}" if taken and kind == "cabinet" else None
            faults = ["motor_stall"] if self.chance.random() < 0.015 else []
            charge = self.chance.randint(10, 100) if unit else None
            device.slots.append({"number": slot, "unit_id": unit, "occupied": taken, "charge_pct": charge, "faults": faults})
        self._count_slots(device)

    def _count_slots(self, device: CityDevice) -> None:
        taken = sum(slot["occupied"] for slot in device.slots)
        units = taken if device.shown["kind"] == "cabinet" else len(device.slots) - taken
        why = [] if units else reasons(int(time.time() * 1000), "no_units")
        device.say(units=units, spaces=len(device.slots) - units, available=units > 0, reasons=why)

    def route(self, column: int, row: int) -> list[tuple[float, float]]:
        """Crossings of a ride that seldom turns back."""
        way = []
        step = self.chance.choice(((1, 0), (-1, 0), (0, 1), (0, -1)))
        for _ in range(self.chance.randint(8, 40)):
            if self.chance.random() < 0.3:
                step = (step[1], step[0]) if self.chance.random() < 0.5 else (-step[1], -step[0])
            column, row = column + step[0], row + step[1]
            way.append(self.crossing(column, row))
        return way

    def turn(self, now_s: float) -> None:
        """Everyone whose report is due reports; a few rides begin and end."""
        for device in list(self.devices.values()):
            if now_s < device.next_report_s:
                continue
            if device.way:
                self._ride(device, self.chance.uniform(3.5, 6.5) * 3.0)
                device.next_report_s = now_s + self.chance.uniform(2.6, 3.4)
            elif device.slots and self.chance.random() < 0.02:
                slot = self.chance.choice(device.slots)
                slot["occupied"] = not slot["occupied"]
                slot["unit_id"] = "PB900001" if slot["occupied"] else None
                slot["charge_pct"] = 60 if slot["occupied"] and device.shown["kind"] == "cabinet" else None
                self._count_slots(device)
                device.next_report_s = now_s + 5
            else:
                device.next_report_s = now_s + self.chance.uniform(2.0, 5.0)

    def _ride(self, device: CityDevice, length_m: float) -> None:
        lat, lon = device.shown["lat"], device.shown["lon"]
        while device.way and length_m > 0:
            north, east = (device.way[0][0] - lat) * M_PER_DEG, (device.way[0][1] - lon) * M_PER_DEG
            left_m = math.hypot(north, east)
            if left_m <= length_m:
                lat, lon = device.way.pop(0)
                length_m -= left_m
                continue
            lat, lon = lat + (device.way[0][0] - lat) * length_m / left_m, lon + (device.way[0][1] - lon) * length_m / left_m
            length_m = 0
        if device.way:
            device.say(lat=lat, lon=lon)
        else:
            device.say(lat=lat, lon=lon, available=True, units=1, reasons=[])

    async def drop_connections(self) -> None:
        """Closes every map conversation, as a server that is restarted would."""
        for socket in list(self.sockets):
            await socket.close(1012)


def reasons(since: int, *names: str) -> list[Json]:
    """Reasons that all hold since the same moment."""
    return [{"reason": name, "since": since} for name in names]


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
        if self.city.refuse_all:
            self.watch = None
            return {"type": "refused", "id": watch["id"], "reason": "too_many_devices", "detail": "more than 10000"}
        now = {id_: device for id_, device in self.city.devices.items() if wanted(watch, device.shown)}
        vanished = [id_ for id_ in self.told if id_ not in now]
        due = [id_ for id_, device in now.items() if self.told.get(id_) != device.changes]
        if not self.fresh and not due and not vanished:
            return None
        sent = due[:CHUNK]
        news = {"shown": [], "moved": []} if not self.fresh else {"devices": []}
        for id_ in sent:
            name = "devices" if self.fresh else "moved" if id_ in self.told else "shown"
            news[name].append(now[id_].shown)
            self.told[id_] = now[id_].changes
        for id_ in vanished:
            del self.told[id_]
        head = {"type": "snapshot" if self.fresh else "changes", "id": watch["id"], "cursor": "fake", "stale": False}
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

    @app.websocket("/v1/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        city.sockets.add(socket)
        conversation = Conversation(city)
        teller = asyncio.create_task(tell(socket, conversation))
        try:
            while True:
                conversation.hear(await socket.receive_json())
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            teller.cancel()
            city.sockets.discard(socket)

    @app.get("/v1/fleet")
    async def fleet() -> Json:
        return {"devices": len(city.devices), "groups": [], "stale": False}

    @app.get("/v1/devices/{id_}")
    async def device(id_: str) -> Json:
        return device_json(city, id_)

    @app.get("/v1/devices/{id_}/history")
    async def history(id_: str, step: str = "raw") -> Json:
        device_json(city, id_)
        return {"device_id": id_, "step": step, "points": city.devices[id_].past, "next": None}

    if DIST.is_dir():
        app.mount("/", StaticFiles(directory=DIST, html=True))
    return app


def device_json(city: FakeCity, id_: str) -> Json:
    """What the device route answers. Raises HTTPException when there is no such device."""
    if id_ not in city.devices:
        raise HTTPException(404, "There is no device with this id.")
    device = city.devices[id_]
    shown = device.shown
    return {
        "id": f"demo-{id_}",
        "public_id": id_,
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
            await asyncio.sleep(0.2)


async def live_on(city: FakeCity) -> None:
    """Turns the city while the server runs."""
    while True:
        city.turn(time.monotonic())
        await asyncio.sleep(0.2)


def main(port: int = 8765, seed: int = 1, bikes: int = 3200, cabinets: int = 420, lockers: int = 180) -> None:
    """Serves a busy city and the built page on loopback."""
    city = FakeCity(seed)
    city.settle(bikes, cabinets, lockers)
    uvicorn.run(app_of(city, alive=True), host="127.0.0.1", port=port, log_level="warning")




if __name__ == "__main__":
    typer.run(main)
