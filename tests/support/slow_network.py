"""A network between devices and their broker that holds back what the broker says."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK_BYTES = 65_536


class SlowNetwork:
    """Forwards TCP on a port of its own; what it holds it delivers later, in order and whole."""

    def __init__(self, broker_port: int) -> None:
        self.port = 0
        self._broker_port = broker_port
        self._flowing = threading.Event()
        self._flowing.set()
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Returns once it listens."""
        self._thread.start()
        assert self._ready.wait(30)

    def hold(self) -> None:
        """From now on nothing from the broker reaches a device, whose own frames still leave."""
        self._flowing.clear()

    def release(self) -> None:
        """Everything that was held arrives."""
        self._flowing.set()

    def end(self) -> None:
        self._flowing.set()
        self._loop.call_soon_threadsafe(self._close_all)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    def _close_all(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._join, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        self._server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _join(self, device: asyncio.StreamReader, to_device: asyncio.StreamWriter) -> None:
        try:
            broker, to_broker = await asyncio.open_connection("127.0.0.1", self._broker_port)
        except OSError:
            to_device.transport.abort()
            return
        self._open |= {to_device, to_broker}
        up = asyncio.ensure_future(self._pump(device, to_broker, holds=False))
        down = asyncio.ensure_future(self._pump(broker, to_device, holds=True))
        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        for task in (up, down):
            task.cancel()
        for writer in (to_device, to_broker):
            writer.transport.abort()
            self._open.discard(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, holds: bool) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                while holds and not self._flowing.is_set():
                    await asyncio.sleep(0.01)
                writer.write(chunk)
                await writer.drain()


@contextmanager
def slow_network(broker_port: int) -> Iterator[SlowNetwork]:
    """A fast one, until it is told otherwise."""
    network = SlowNetwork(broker_port)
    network.start()
    try:
        yield network
    finally:
        network.end()
