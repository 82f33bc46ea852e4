"""A broker and gateway in one small object, for tests of the devices' side: MQTT 5 and 3.1.1 on loopback."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field

from firmware_protocol import codec, topics
from firmware_protocol.codec import Encoding
from firmware_protocol.messages import Receipt, Report, ReportStamp, Welcome
from firmware_protocol.topics import Channel


@dataclass
class TinyBroker:
    """Answers hellos with boots and kept reports with receipts; remembers every report it took."""

    passwords: dict[str, str]
    gives_receipts: bool = True
    gives_boots: bool = True
    port: int = 0
    reports: list[tuple[str, Report]] = field(default_factory=list)
    boots: dict[str, tuple[int, int]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    _writers: dict[str, tuple[asyncio.StreamWriter, bool]] = field(default_factory=dict)
    _open: dict[asyncio.StreamWriter, asyncio.Task[None]] = field(default_factory=dict)
    """Every connection, let in or not, and who serves it."""
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> "TinyBroker":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        # The loop ends with the test: a connection that is still being served then would be torn down half-way.
        serving = list(self._open.values())
        for writer in self._open:
            writer.transport.abort()
        await asyncio.gather(*serving)
        await self._server.wait_closed()

    def drop_everybody(self) -> None:
        """Cut all connections, without a goodbye."""
        for writer, _ in self._writers.values():
            writer.transport.abort()

    @property
    def clients(self) -> int:
        return len(self._writers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self._open[writer] = serving
        try:
            await self._converse(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            del self._open[writer]

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = ""
        try:
            while True:
                first, body = await _packet(reader)
                if first >> 4 == 1:
                    client = self._let_in(body, writer)
                    if not client:
                        return
                else:
                    self._take(client, first, body, self._writers[client])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if self._writers.get(client, (None,))[0] is writer:
                del self._writers[client]

    def _let_in(self, body: bytes, writer: asyncio.StreamWriter) -> str:
        modern = body[6] == 5
        at = 10 + (1 + body[10] if modern else 0)
        fields = []
        while at < len(body):
            length = int.from_bytes(body[at : at + 2], "big")
            fields.append(body[at + 2 : at + 2 + length].decode())
            at += 2 + length
        client, user, password = fields
        if self.passwords.get(user) != password:
            self.refused.append(user)
            writer.write(b"\x20\x03\x00\x86\x00" if modern else b"\x20\x02\x00\x05")
            return ""
        self.accepted.append(client)
        self._writers[client] = (writer, modern)
        writer.write(b"\x20\x03\x00\x00\x00" if modern else b"\x20\x02\x00\x00")
        return client

    def _take(self, client: str, first: int, body: bytes, to: tuple[asyncio.StreamWriter, bool]) -> None:
        writer, modern = to
        if first >> 4 == 8:
            props = bytes(1) if modern else b""
            writer.write(bytes((0x90, 3 + len(props))) + body[:2] + props + b"\x01")
        elif first >> 4 == 3:
            topic_end = 2 + int.from_bytes(body[:2], "big")
            topic = body[2:topic_end].decode()
            writer.write(b"\x40\x02" + body[topic_end : topic_end + 2])
            self._hear(client, topic, body[topic_end + (3 if modern else 2) :])
        elif first >> 4 == 12:
            writer.write(b"\xd0\x00")

    def _hear(self, client: str, topic: str, payload: bytes) -> None:
        address = topics.parse_topic(topic)
        device_id = address.device_id
        if address.channel is Channel.HELLO:
            if not self.gives_boots:
                return
            hello = codec.decode_hello(payload)
            power_on_id, boot = self.boots.get(device_id, (-1, 0))
            if hello.power_on_id != power_on_id:
                boot = max(boot + 1, int(time.time()))
                self.boots[device_id] = (hello.power_on_id, boot)
            welcome = Welcome(hello.power_on_id, boot, boot * 1000)
            frame = codec.encode_welcome(welcome, encoding=Encoding.JSON)
            self._tell(client, topics.welcome_topic(device_id), frame)
        else:
            report = codec.decode_report(payload)
            self.reports.append((device_id, report))
            if report.keep and self.gives_receipts:
                receipt = Receipt((ReportStamp(report.boot, report.seq or 0),))
                frame = codec.encode_receipt(receipt, encoding=Encoding.JSON)
                self._tell(client, topics.receipt_topic(device_id), frame)

    def _tell(self, client: str, topic: str, payload: bytes) -> None:
        writer, modern = self._writers[client]
        name = topic.encode()
        body = len(name).to_bytes(2, "big") + name + (bytes(1) if modern else b"") + payload
        assert len(body) < 16_384
        length = bytes((len(body),)) if len(body) < 128 else bytes((len(body) & 0x7F | 0x80, len(body) >> 7))
        writer.write(b"\x30" + length + body)


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            return first, await reader.readexactly(length)
