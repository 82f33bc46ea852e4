"""Asks the API and a map socket what they believe of a fleet."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from device_sim.audit import Difference, MapDevice, Seen, SeenDevice, audit
from device_sim.movement import Area
from device_sim.run import RunResult
from device_sim.truth import Stamp

READERS = 4
"""Connections that ask at once: an audit must not be the load."""
SETTLES_WITHIN_S = 30.0
"""What a gateway may need to take in the rest and a map to show it, on a busy machine."""
_AGAIN_AFTER_S = 1.0
_TIMEOUT_S = 20.0
_PAGE = 10_000
_REACH = timedelta(days=6, hours=20)
"""Far beyond what a run and its wrong clocks spread over, and what the API answers in one range."""


class _Point(Struct):
    boot: int
    seq: int


class _HistoryPage(Struct):
    points: list[_Point]
    next: str | None = None


class _Frame(Struct):
    type: str
    id: int | None = None
    devices: list[MapDevice] = []
    shown: list[MapDevice] = []
    moved: list[MapDevice] = []
    vanished: list[str] = []
    count: int = 0
    more: bool = False
    reason: str = ""
    detail: str = ""


class AuditUnreadable(Exception):
    """The API did not answer as its description says; says what it answered."""


class Api(NamedTuple):
    """Where to ask, and as whom: a token of staff, since riders see no device ids."""

    url: str
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


async def read_devices(api: Api, names: Sequence[str], *, now: datetime) -> dict[str, Seen]:
    """What the API says about each name (device id or public id)."""
    with ThreadPoolExecutor(READERS) as pool:
        loop = asyncio.get_running_loop()
        shares = [names[first::READERS] for first in range(READERS)]
        parts = [loop.run_in_executor(pool, _read_share, api, share, now) for share in shares]
        return {name: seen for part in await asyncio.gather(*parts) for name, seen in part.items()}


def _read_share(api: Api, names: Sequence[str], now: datetime) -> dict[str, Seen]:
    connection = connection_to(api)
    try:
        return {name: _read(connection, api, name, now) for name in names}
    except (OSError, HTTPException, msgspec.MsgspecError) as error:
        raise AuditUnreadable(f"{api.url}: {error}") from error
    finally:
        connection.close()


def connection_to(api: Api) -> HTTPConnection:
    """Not yet open: the token must not travel in the clear where TLS was asked for. Raises AuditUnreadable."""
    kinds: dict[str, type[HTTPConnection]] = {"http": HTTPConnection, "https": HTTPSConnection}
    try:
        where = urlsplit(api.url)
        kind = kinds.get(where.scheme)
        if kind and where.hostname and where.port != 0:
            return kind(where.hostname, where.port, timeout=_TIMEOUT_S)
    except ValueError:
        pass  # a port that is none
    raise AuditUnreadable(f"{api.url!r} is no address; one looks like http://127.0.0.1:8080")


def _read(connection: HTTPConnection, api: Api, name: str, now: datetime) -> Seen:
    path = f"/v1/devices/{quote(name)}"
    body = _get(connection, api, path)
    if body is None:
        return Seen(None, ())
    stamps: list[Stamp] = []
    question = {
        "from": (now - _REACH).isoformat(),
        "to": (now + timedelta(minutes=15)).isoformat(),
        "step": "raw",
        "limit": str(_PAGE),
    }
    while True:
        page_body = _get(connection, api, f"{path}/history?{urlencode(question)}")
        if page_body is None:
            raise AuditUnreadable(f"{path} is known, its history is not")
        page = msgspec.json.decode(page_body, type=_HistoryPage)
        stamps += [(point.boot, point.seq) for point in page.points]
        if page.next is None:
            break
        question["after"] = page.next
    return Seen(msgspec.json.decode(body, type=SeenDevice), stamps)


def _get(connection: HTTPConnection, api: Api, path: str) -> bytes | None:
    """The body; None for 404. Raises AuditUnreadable for any other refusal."""
    connection.request("GET", path, headers=api.headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise AuditUnreadable(f"GET {path} answered {answer.status}: {body[:200].decode(errors='replace')}")
    return body


async def read_map(api: Api, area: Area) -> dict[str, MapDevice]:
    """Every device a map client is shown in the area, available or not, by public id.
    Raises AuditUnreadable."""
    url = f"{api.url.replace('http', 'ws', 1).rstrip('/')}/v1/live"
    shown: dict[str, MapDevice] = {}
    try:
        async with connect(
            url, max_size=None, open_timeout=_TIMEOUT_S, additional_headers=api.headers
        ) as socket:
            areas = [area]
            number = 0
            while areas:
                number += 1
                part = areas.pop()
                devices = await _watch(socket, number, part)
                if devices is None:
                    areas += _quarters(part)
                else:
                    shown |= devices
                # The server allows ten watches a second.
                await asyncio.sleep(0.12)
    except (OSError, TimeoutError, WebSocketException) as error:
        raise AuditUnreadable(f"{url}: {error}") from error
    return shown


async def _watch(socket: ClientConnection, number: int, area: Area) -> dict[str, MapDevice] | None:
    """The devices in the box; None when there are too many for one watch."""
    box = [area.west, area.south, area.east, area.north]
    watch = {"type": "watch", "id": number, "box": box, "zoom": 14, "availability": "any"}
    await socket.send(msgspec.json.encode(watch).decode())
    held: dict[str, MapDevice] = {}
    async with asyncio.timeout(_TIMEOUT_S):
        while True:
            frame = msgspec.json.decode(await socket.recv(), type=_Frame)
            if frame.id != number:
                continue
            if frame.type == "refused":
                if frame.reason == "too_many_devices":
                    return None
                raise AuditUnreadable(f"watch refused: {frame.reason} {frame.detail}")
            if frame.type == "snapshot":
                held.clear()
            for device in (*frame.devices, *frame.shown, *frame.moved):
                held[device.id] = device
            for public_id in frame.vanished:
                held.pop(public_id, None)
            if not frame.more:
                if frame.count != len(held):
                    raise AuditUnreadable(f"the map says {frame.count} devices and sent {len(held)}")
                return held


def _quarters(area: Area) -> list[Area]:
    lat, lon = (area.south + area.north) / 2, (area.west + area.east) / 2
    return [
        Area(south, west, north, east)
        for south, north in ((area.south, lat), (lat, area.north))
        for west, east in ((area.west, lon), (lon, area.east))
    ]


async def audit_until_settled(api: Api, area: Area, result: RunResult) -> list[Difference]:
    """Audits a fleet that has gone quiet, again and again while there are differences: the gateway may still be
    at work. What is found at the deadline stands. Raises AuditUnreadable."""
    deadline_s = time.monotonic() + SETTLES_WITHIN_S
    names = [truth.device_id for truth in result.truths]
    while True:
        seen = await read_devices(api, names, now=datetime.now(UTC))
        on_map = await read_map(api, area)
        seen |= await _strangers(api, seen, on_map)
        found = audit(result.truths, seen, on_map, all_spoke=result.all_spoke)
        if not found or time.monotonic() >= deadline_s:
            return found
        await asyncio.sleep(_AGAIN_AFTER_S)


async def _strangers(api: Api, seen: Mapping[str, Seen], on_map: Mapping[str, MapDevice]) -> dict[str, Seen]:
    """Map devices of other fleets: what the API knows under the public id is no ghost."""
    known = {answer.device.public_id for answer in seen.values() if answer.device is not None}
    unknown = [public_id for public_id in on_map if public_id not in known]
    return await read_devices(api, unknown, now=datetime.now(UTC))
