"""One question, one answer, over a plain blocking socket: the same few lines for every contender."""

import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

import hiredis
import msgspec


class _Connection:
    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()


class HttpConnection(_Connection):
    """HTTP/1.1 keep-alive with answers that carry a Content-Length."""

    def __init__(self, port: int, *, token: str = "") -> None:
        super().__init__(port)
        self._authorization = f"Authorization: Bearer {token}\r\n".encode() if token else b""

    def get(self, path: str) -> bytes:
        """The body. Raises RuntimeError for anything but 200."""
        status, body = self._ask(path)
        if status != 200:
            raise RuntimeError(f"{path}: {status} {body[:300]!r}")
        return body

    def get_json(self, path: str) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.get(path))

    def wait_ready(self, within_s: float) -> None:
        """Until /readyz says 200. Raises TimeoutError with its last answer."""
        end_s = time.monotonic() + within_s
        while (answer := self._ask("/readyz"))[0] != 200:
            if time.monotonic() > end_s:
                raise TimeoutError(f"not ready within {within_s} s: {answer[1][:300]!r}")
            time.sleep(0.02)  # a poll

    def _ask(self, path: str) -> tuple[int, bytes]:
        request = b"GET %s HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (path.encode(), self._authorization)
        self._socket.sendall(request)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        head = received[:end].lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        while len(received) < end + 4 + length:
            received += self._more()
        return int(head[9:12]), received[end + 4 :]

    def _more(self) -> bytes:
        data = self._socket.recv(65_536)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data


class RedisConnection(_Connection):
    """RESP with the reader that redis-py uses too."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        super().__init__(address.port or 6379)
        self._reader = hiredis.Reader()
        if address.password:
            self.ask("AUTH", address.password)

    def ask(self, *command: str) -> object:
        """The reply. Raises hiredis.ReplyError for an error."""
        # hiredis packs tuples of any length; its stub says one.
        packed = cast(Callable[[tuple[str, ...]], bytes], hiredis.pack_command)(command)
        self._socket.sendall(packed)
        while (reply := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(65_536))
        if isinstance(reply, hiredis.ReplyError):
            raise reply
        return reply
