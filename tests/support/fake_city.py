"""A seeded city of bikes, cabinets and lockers, so that the page can be worked on without a gateway."""

import math
import random
import time
from dataclasses import dataclass, field
from typing import Any

from fastapi import WebSocket

CENTRE_LAT, CENTRE_LON = 1.3030, 103.8510
STREET_M = 260.0
M_PER_DEG = 111_320.0

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
        self.refuse_below_zoom = 0.0

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
        column, row, spread = self.chance.choice(
            ((0, 0, 5.0), (9, 4, 3.0), (-9, 6, 3.5), (4, -9, 3.0), (0, 0, 13.0))
        )
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
            since = int(time.time() * 1000) - self.chance.randrange(30_000, 900_000)
            device.say(available=False, units=0, reasons=reasons(since, "bolt_not_closed", "in_motion"))
        elif fate < 0.21:
            device.say(
                battery_pct=self.chance.randint(2, 14),
                available=False,
                units=0,
                reasons=reasons(since, "low_battery"),
            )
        elif fate < 0.25:
            device.say(
                available=False,
                units=0,
                reasons=reasons(since, self.chance.choice(("quiet", "quiet", "lost"))),
            )
        elif fate < 0.265:
            device.say(
                available=False, units=0, reasons=reasons(since, self.chance.choice(("fault", "alarm")))
            )

    def _settle_station(self, kind: str, number: int, size: int) -> None:
        lat, lon = self.crossing(*self.somewhere())
        device = self.put(f"{kind[0]}{number:04d}", kind, lat + 0.0002, lon + 0.0002, battery_pct=None)
        full = self.chance.random()
        for slot in range(1, size + 1):
            taken = self.chance.random() < full
            unit = f"PB{self.chance.randrange(10**6):06d}" if taken and kind == "cabinet" else None
            faults = ["motor_stall"] if self.chance.random() < 0.015 else []
            charge = self.chance.randint(10, 100) if unit else None
            device.slots.append(
                {"number": slot, "unit_id": unit, "occupied": taken, "charge_pct": charge, "faults": faults}
            )
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
            lat, lon = (
                lat + (device.way[0][0] - lat) * length_m / left_m,
                lon + (device.way[0][1] - lon) * length_m / left_m,
            )
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
