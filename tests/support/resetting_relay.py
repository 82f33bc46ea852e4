"""A way to a server that ends as the kernel of a killed server ends it: some last bytes, then a reset."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK_BYTES = 65_536
_AT_ONCE = struct.pack("ii", 1, 0)


class ResettingRelay:
    """Forwards one TCP connection on the running loop until it is told to reset it."""

    def __init__(self, server_port: int) -> None:
        self.port = 0
        self._server_port = server_port
        self._reset_after: int | None = None

    def reset_after(self, size_bytes: int) -> None:
        """The next so many bytes of the server arrive together, and with them the reset."""
        self._reset_after = size_bytes

    async def relay(self, listener: socket.socket) -> None:
        """One connection, to its end."""
        loop = asyncio.get_running_loop()
        client, _ = await loop.sock_accept(listener)
        with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
            client.setblocking(False)
            server.setblocking(False)
            # The last bytes must be under way before the reset throws away what is not.
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asking = asyncio.ensure_future(_pump(client, server))
            try:
                await self._answer(server, client)
            finally:
                asking.cancel()
                await asyncio.wait([asking])
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)

    async def _answer(self, server: socket.socket, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        held = b""
        while some := await loop.sock_recv(server, CHUNK_BYTES):
            held += some
            if self._reset_after is None:
                await loop.sock_sendall(client, held)
                held = b""
            elif len(held) >= self._reset_after:
                # In one step of the loop with the close that follows: who reads sees both at once.
                client.send(held)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                client.close()
                return


async def _pump(source: socket.socket, sink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while some := await loop.sock_recv(source, CHUNK_BYTES):
        await loop.sock_sendall(sink, some)


@asynccontextmanager
async def resetting(server_port: int) -> AsyncIterator[ResettingRelay]:
    """One that listens."""
    relay = ResettingRelay(server_port)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        relay.port = listener.getsockname()[1]
        relaying = asyncio.ensure_future(relay.relay(listener))
        try:
            yield relay
        finally:
            relaying.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await relaying
