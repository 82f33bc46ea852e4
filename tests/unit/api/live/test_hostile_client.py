"""What a hostile map client gets: refused or cut off, at a bounded cost to everyone else."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.json import decode, encode
from msgspec.structs import replace

from api.live.socket import MAX_FRAMES_PER_SWEEP, LiveSocket
from firmware_protocol.messages import DeviceId
from tests.support.stuck_client import masked, upgrade
from tests.support.waiting import until_async
from tests.unit.api.live.entries import entry
from tests.unit.api.surface import Surface, serving

TEXT, BINARY, PING = 1, 2, 9
WATCH = encode({"type": "watch", "id": 1, "box": [121.4, 31.2, 121.5, 31.3]})
TOO_BIG, PROTOCOL_ERROR, NOT_TEXT, UNREASONABLE = 1009, 1002, 1003, 1008
CUT_OFF = 0


@pytest.fixture
async def surface() -> AsyncIterator[Surface]:
    async with serving() as one:
        yield one


class Peer:
    """A raw connection on which the WebSocket has begun."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, *frames: bytes) -> None:
        self._writer.write(b"".join(frames))

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame of the server."""
        async with asyncio.timeout(30):
            first, length = await self._reader.readexactly(2)
            size = length if length < 126 else int.from_bytes(await self._reader.readexactly(2), "big")
            return first & 15, await self._reader.readexactly(size)

    async def close_code(self) -> int:
        """Of the close frame, whatever comes before; CUT_OFF when the server did not wait until all was read. The
        connection is over then."""
        try:
            while (said := await self.frame())[0] != 8:
                continue
            self._writer.write(masked(8, said[1]))
            async with asyncio.timeout(30):
                await self._reader.read()
            return int.from_bytes(said[1][:2], "big")
        except ConnectionResetError:
            return CUT_OFF
        finally:
            self.leave()

    def leave(self) -> None:
        self._writer.close()


async def _joined(surface: Surface) -> Peer:
    reader, writer = await asyncio.open_connection("127.0.0.1", surface.port)
    writer.write(upgrade(surface.token()))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    return Peer(reader, writer)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (masked(TEXT, b" " * 65_536), TOO_BIG),
        (masked(TEXT, b" " * 8_000, flags=0) + masked(0, b" " * 8_000, flags=0), TOO_BIG),
        # The reserved bit of a compressed frame, though no compression was agreed.
        (masked(TEXT, WATCH, flags=0xC0), PROTOCOL_ERROR),
        (b"\x81\x05hello", PROTOCOL_ERROR),
        (masked(11), PROTOCOL_ERROR),
        (masked(PING, b"p" * 126), PROTOCOL_ERROR),
        (masked(BINARY, WATCH), NOT_TEXT),
        (masked(PING) * 60_000, UNREASONABLE),
        (masked(10) * 60_000, UNREASONABLE),
        (masked(TEXT, b"{}") * (MAX_FRAMES_PER_SWEEP + 1), UNREASONABLE),
        # Fragments without a byte never reach the bound of a message.
        (masked(TEXT, flags=0) + masked(0, flags=0) * 60_000, UNREASONABLE),
    ],
    ids=lambda given: given[:2].hex() if isinstance(given, bytes) else str(given),
)
async def test_frames_nobody_needs_end_the_conversation(surface: Surface, frames: bytes, code: int) -> None:
    peer = await _joined(surface)
    peer.send(frames)
    assert await peer.close_code() in (code, CUT_OFF)
    await until_async(lambda: not surface.hub.sockets)
    assert (await surface.http.get("/livez")).text == "ok\n"


async def test_an_extension_that_compresses_is_not_agreed_to(surface: Surface) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", surface.port)
    offer = b"\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    writer.write(upgrade(surface.token()).removesuffix(b"\r\n\r\n") + offer)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101")
    assert b"extensions" not in answer.lower()
    writer.close()


async def test_a_lively_client_is_no_flood(surface: Surface) -> None:
    await surface.put(entry(1))
    peer = await _joined(surface)
    peer.send(*[masked(PING)] * 20, masked(TEXT, WATCH))
    said = [await peer.frame() for _ in range(21)]
    assert [opcode for opcode, _ in said].count(10) == 20
    (snapshot,) = [decode(text) for opcode, text in said if opcode == TEXT]
    assert snapshot["count"] == 1
    peer.leave()


async def test_no_device_id_is_in_any_frame(surface: Surface) -> None:
    peer = await _joined(surface)
    peer.send(masked(TEXT, WATCH))
    said = [await peer.frame()]
    for turn in range(3):
        moved = replace(entry(1, lat_e7=312_300_000 + turn * 10_000), device_id=DeviceId("bolted-0001"))
        await surface.put(moved)
        said.append(await peer.frame())
    await surface.put_state(DeviceId("bolted-0001"), None)
    await surface.follow()
    said.append(await peer.frame())
    assert decode(said[-1][1])["vanished"] == ["p1"]
    assert not any(b"bolted" in text for _, text in said)
    peer.leave()


async def test_a_flood_stops_being_parsed_when_it_is_known_for_one(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = 0
    take = LiveSocket._take

    def counting(self: LiveSocket, frame: object) -> None:
        nonlocal taken
        taken += 1
        take(self, frame)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(LiveSocket, "_take", counting)
    peer = await _joined(surface)
    peer.send(masked(PING) * 60_000)
    assert await peer.close_code() in (UNREASONABLE, CUT_OFF)
    assert taken < 2_000


async def test_fragments_without_a_byte_are_not_kept(surface: Surface) -> None:
    peer = await _joined(surface)
    await until_async(lambda: surface.hub.sockets)
    (socket,) = surface.hub.sockets.values()
    assert isinstance(socket, LiveSocket)
    for _ in range(5):
        # Below the bound of a flood, and the ping tells that they were read.
        peer.send(masked(TEXT, b"{", flags=0), *[masked(0, flags=0)] * 50, masked(PING, b"read"))
        assert await peer.frame() == (10, b"read")
        assert len(socket._fragments) == 1
        peer.send(masked(0, b"}"))
        said = await peer.frame()
        assert decode(said[1])["type"] == "refused"
        assert not socket._fragments
        socket.check(asyncio.get_running_loop().time())
    peer.leave()
