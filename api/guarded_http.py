"""The HTTP edge with bounds on what a peer may make it wait for, keep or read; what is at hand it says at once."""

import asyncio
import resource
from functools import cache
from typing import Any, cast

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.problems import MAX_BODY_BYTES, MEDIA_TYPE, Problem, problem_body
from api.telemetry import QuickApp

MAX_HEAD_BYTES = 16 * 1024
"""Request line and headers: a browser with its cookies sends 2 KiB, proxies allow 8."""

HEAD_WITHIN_S = 10.0
"""From the connection or the first byte of a request to the end of its headers, on the worst mobile network."""

MAX_BODY_BYTES_ON_THE_WIRE = 4 * MAX_BODY_BYTES
"""With the heads of chunks, what stands behind them, and trailers, which no route reads."""

BODY_WITHIN_S = 30.0
"""From the end of the headers to the end of the body."""

MAX_WAITING = 100
"""Requests of one connection behind the one that is answered: browsers and proxies send none."""

TAKEN_WITHIN_S = 30.0
"""For 64 KiB of an answer to leave; who takes none of it for so long is gone."""

SPARE_FILES = 256
"""Descriptors for stores, logs and the listener, out of those a process may have."""

_TOO_LARGE = Problem("head_too_large", 431, f"Request line and headers have at most {MAX_HEAD_BYTES} bytes.")
_TOO_SLOW = Problem("request_timeout", 408, f"Headers must be complete within {HEAD_WITHIN_S:.0f} s.")
_BODY_TOO_SLOW = Problem("request_timeout", 408, f"A body must be complete within {BODY_WITHIN_S:.0f} s.")
_OF_A_BODY = frozenset((b"content-length", b"transfer-encoding"))
_REASONS = {400: b"Bad Request", 431: b"Request Header Fields Too Large", 408: b"Request Timeout"}


@cache
def max_connections() -> int:
    """Of everyone together: behind a proxy all come from one address. The next one is dropped at once, because a
    process without descriptors can accept nobody, and cannot reach its stores either."""
    return max(64, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)


class GuardedHttp(HttpToolsProtocol):
    """One connection of the server, as its base class serves it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base
        self._part_bytes = 0
        """Of the head or the body that is coming."""
        self._in_head = True
        self._in_body = False
        self._body_deadline: asyncio.TimerHandle | None = None
        self._upgraded = False
        self._deadline: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        if len(self.connections) >= max_connections():
            # Its base class has not begun, and must not hear of the end.
            self._refused = True
            transport.abort()
            return
        self._refused = False
        self._first_of_read = True
        """Whoever sends many requests in one piece has the first answered at once; the others wait their turn."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        self._body_ended()
        self._taken()
        if not self._refused:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._part_bytes += len(data)
        self._first_of_read = True
        super().data_received(data)
        if self._in_head and self._part_bytes > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)
        elif self._in_body and self._part_bytes > MAX_BODY_BYTES_ON_THE_WIRE:
            # Whoever waits for the body hears that it ended; its bound has refused it long before.
            self.transport.close()
        elif self._in_body and self._body_deadline is None:
            self._body_deadline = self.loop.call_later(BODY_WITHIN_S, self._body_late)
        elif not (self._deadline or self.timeout_keep_alive_task or self._is_answering or self._upgraded):
            # Neither the rest of a body that nobody wants nor empty lines keep a connection open. What was answered
            # at once waits for the next request already.
            self._expect_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # An answer that was given at once has begun to wait for this.
        self._unset_keepalive_if_required()
        self._in_head = True
        if self._deadline is None:
            self._expect_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        # A trailer comes this way too, is read by nobody, and would be kept.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._in_body = True
        self._forget_deadline()
        # What one read brought may hold many requests; only then is each weighed.
        large = self._part_bytes > MAX_HEAD_BYTES
        self._part_bytes = 0
        if len(self.pipeline) >= MAX_WAITING:
            self.transport.close()
            return
        if large and len(self.url) + sum(len(n) + len(v) for n, v in self.headers) > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)
            return
        if not self._answered_at_once():
            super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(TAKEN_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._taken()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._refuse(Problem("bad_request", 400, msg))

    def on_body(self, body: bytes) -> None:
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._body_ended()
        self._part_bytes = 0
        if self._is_answering and not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.pipeline:
            # Its base class reads on after each answer, however many requests still wait.
            self.flow.pause_reading()

    def handle_websocket_upgrade(self) -> None:
        if self.transport.is_closing():
            return
        # From here on the map's own protocol serves the connection: no head will follow.
        self._upgraded = True
        self._body_ended()
        try:
            super().handle_websocket_upgrade()
        except Exception:
            # The new protocol counts as a connection already, and would never hear of its end.
            for one in [
                one for one in self.connections if getattr(one, "_transport", None) is self.transport
            ]:
                self.connections.discard(one)
            self.transport.abort()
            raise

    def _answered_at_once(self) -> bool:
        """A request that stands alone and whose answer is at hand needs no task and no cycle of its own, which would
        take a good part of its time."""
        first, self._first_of_read = self._first_of_read, False
        if not first or self._is_answering or self.flow.write_paused or not self._is_plain_get():
            return False
        path, _, query = self.url.partition(b"?")
        # Where nothing is answered, the base class writes over these.
        scope = cast("dict[str, Any]", self.scope)
        scope["path"], scope["query_string"] = path.decode("latin-1"), query
        body = cast("QuickApp", self.app).at_once(scope)
        if body is None:
            return False
        head = [b"HTTP/1.1 200 OK\r\n"]
        for name, value in self.server_state.default_headers:
            head += (name, b": ", value, b"\r\n")
        head.append(b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body))
        self.transport.write(b"".join((*head, body)))
        self.on_response_complete()
        return True

    def _is_plain_get(self) -> bool:
        """Without anything that changes how an answer is sent: the base class knows all of that."""
        parser = self.parser
        return (
            parser.get_method() == b"GET"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and b"#" not in self.url
            and _OF_A_BODY.isdisjoint(dict(self.headers))
        )

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_WITHIN_S, self._head_late)

    def _head_late(self) -> None:
        if self._is_answering:
            # We may be the ones who do not read on.
            self._expect_head()
        else:
            self._refuse(_TOO_SLOW)

    def _body_late(self) -> None:
        self._body_deadline = None
        if self.flow.read_paused:
            # It is we who do not read on.
            self._body_deadline = self.loop.call_later(BODY_WITHIN_S, self._body_late)
        elif self._is_answering and self.cycle.response_started:
            self.transport.close()
        else:
            self._say(_BODY_TOO_SLOW)

    def _body_ended(self) -> None:
        self._in_body = False
        if self._body_deadline is not None:
            self._body_deadline.cancel()
            self._body_deadline = None

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _taken(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    @property
    def _is_answering(self) -> bool:
        # Its base class declares it as always there, and sets None until the first request.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _refuse(self, problem: Problem) -> None:
        """Says why, unless an answer is under way, and closes."""
        if self._is_answering:
            self._forget_deadline()
            self.transport.close()
        else:
            self._say(problem)

    def _say(self, problem: Problem) -> None:
        self._forget_deadline()
        if not self.transport.is_closing():
            body = msgspec.json.encode(problem_body(problem, ""))
            head = b"HTTP/1.1 %d %s\r\n" % (problem.status, _REASONS[problem.status])
            head += b"content-type: %s\r\ncontent-length: %d\r\n" % (MEDIA_TYPE.encode(), len(body))
            self.transport.write(head + b"connection: close\r\n\r\n" + body)
        self.transport.close()
