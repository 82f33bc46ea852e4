"""The listening process: binds, announces itself, ends on SIGTERM with exit code 0."""

import asyncio
import contextlib
import json
import resource
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn

from api.guarded_http import GuardedHttp
from api.live.socket import LiveSocket
from api.telemetry import QuickApp

GRACE_S = 5
"""For answers that are under way; the whole stop stays below 10 s."""

FILES = 20_000
"""Twice the map sessions of a process; shells give 1,024."""

BACKLOG = 2_048
"""Thousands of maps come back in the same second after a restart."""


class AnnouncedServer(uvicorn.Server):
    """Prints its ready line once it accepts, and takes SIGTERM as an order, not as an accident."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            port = sockets[0].getsockname()[1]
            sys.stdout.write(json.dumps({"event": "ready", "http_port": port}) + "\n")
            sys.stdout.flush()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The base class raises the signal again when all is closed, and the process would end by it.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


def server_for(app: QuickApp, *, log_level: str) -> AnnouncedServer:
    """Serves HTTP and the live map's WebSocket on one port."""
    config = uvicorn.Config(
        app,
        loop="none",
        http=GuardedHttp,
        # The upgrade is handed to our own protocol: it can abort a client that stops reading, which
        # no ASGI server offers, and it shares the port with everything else.
        ws=LiveSocket,
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level=log_level,
        server_header=False,
        # Whose X-Forwarded-For is believed is a setting of ours; the server would believe everybody on this machine.
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
        backlog=BACKLOG,
    )
    return AnnouncedServer(config)


def allow_files() -> None:
    """Lets this process open as many files as its sessions need, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def bound(host: str, port: int) -> socket.socket:
    """A socket that is bound; port 0 takes a free one. Raises OSError, which names the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from error
    return listener
