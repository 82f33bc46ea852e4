"""Riders of a benchmark: many HTTP connections that ask for an unlock and wait for its end."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import cast
from uuid import uuid4

import msgspec
from msgspec import Struct

from firmware_protocol.messages import DeviceId


class Answer(Struct, frozen=True):
    """One unlock as its rider saw it."""

    command_id: str
    phase: str
    took_s: float
    status: int
    """Of the HTTP answer; anything but 201 is no command."""
    why_not: str = ""
    """What the API said then."""


class _Body(Struct):
    id: str = ""
    phase: str = ""
    detail: str = ""


class RiderConnection(asyncio.Protocol):
    """HTTP/1.1 keep-alive, one request at a time, answers with a Content-Length."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._received = b""
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("the API closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or self._waiting is None:
            return
        head = self._received[:end].lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        if len(self._received) < end + 4 + length:
            return
        body, self._received = self._received[end + 4 : end + 4 + length], b""
        self._waiting.set_result((int(head[9:12]), body))

    async def unlock(self, device_id: DeviceId, *, wait_s: float) -> Answer:
        """One request: ordered, waited for, answered."""
        body = b'{"kind":"unlock"}'
        head = (
            f"POST /v1/devices/{device_id}/commands?wait_s={wait_s:.0f} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {self._token}\r\nIdempotency-Key: {uuid4()}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        begin_s = time.perf_counter()
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(head.encode() + body)
        status, text = await self._waiting
        took_s = time.perf_counter() - begin_s
        said = msgspec.json.decode(text, type=_Body)
        return Answer(said.id, said.phase, took_s, status, said.detail)


async def ride(
    port: int, token: str, devices: Sequence[DeviceId], *, riders: int, wait_s: float
) -> list[Answer]:
    """One unlock of each of the devices, in their order, by so many riders at once."""
    loop = asyncio.get_running_loop()
    waiting: Iterator[DeviceId] = iter(devices)
    answers: list[Answer] = []

    async def one_rider() -> None:
        _, connection = await loop.create_connection(lambda: RiderConnection(token), "127.0.0.1", port)
        try:
            for device_id in waiting:
                answer = await connection.unlock(device_id, wait_s=wait_s)
                answers.append(answer)
        finally:
            connection.transport.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(riders):
            group.create_task(one_rider())
    return answers
