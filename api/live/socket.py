"""The WebSocket edge: moves bytes, owns timers, decides nothing."""

import asyncio
import socket
from http import HTTPStatus
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from api.auth.principal import Principal
from api.auth.tokens import BadToken
from api.live.admission import Admission, Outcome
from api.live.close_codes import GOING_AWAY, NOT_TEXT, TRY_LATER, UNAUTHENTICATED, UNREASONABLE
from api.live.entrance import bearer_in, refusal_of, viewer_of
from api.live.frames import MAX_CLIENT_FRAME_BYTES
from api.live.hub import LiveHub
from api.live.pace import pause_s
from api.live.session import LiveSession

MAX_SESSIONS = 10_000
"""Half the file descriptors a process usually gets; a farm of API processes shares the rest."""

SEND_BUFFER_BYTES = 32 * 1024
"""Asked of the kernel, which doubles it: with one frame in flight a client costs at most 64 KiB."""

STUCK_AFTER_S = 6.5
"""A client that takes no frame, or answers no ping, for this long has stopped reading."""

PING_WHILE_SENDING_S = 2.0
"""With the two above and one sweep, a client that stops reading is gone within 9 s."""

PING_WHILE_SILENT_S = 20.0
"""Below the 30 s after which mobile networks forget an idle connection; costs a phone little."""

MAX_FRAMES_PER_SWEEP = 100
"""Frames of any sort that a client may send between two sweeps: ten times what a nervous hand and pongs make. Pings,
empty fragments and refused frames cost the loop that everyone shares, and each fragment is kept."""

PARSED_AT_ONCE_BYTES = 4 * 1024
"""Between two looks at that bound: 7 ms of the smallest frames there are."""

CLOSE_WITHIN_S = 2.0
"""What a client gets to answer a close frame before the connection is cut."""


class LiveSocket(asyncio.Protocol):
    """One connection; the server hands it over after it has read the upgrade request."""

    def __init__(self, *, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        self._hub: LiveHub = app_state["live"]
        # The server's set is typed for its own protocols; it only calls `shutdown` on each.
        self._connections = cast("set[object]", server_state.connections)
        self._wire = ServerProtocol(max_size=MAX_CLIENT_FRAME_BYTES)
        self._loop = asyncio.get_running_loop()
        self._session: LiveSession | None = None
        self._admission = Admission(self._hub.entrance, now_s=self._loop.time())
        self._fragments: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._not_before_s = 0.0
        self._frames_since_sweep = 0
        self._blocked_since_s: float | None = None
        self._sent_since_ping = False
        self._pinged_at_s = self._loop.time()
        self._pong_awaited = False
        self._close_by_s: float | None = None

    # --- what the transport calls -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self._transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES
        )
        # A frame is made only when the one before has left the process.
        self._transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), PARSED_AT_ONCE_BYTES):
            self._wire.receive_data(data[start : start + PARSED_AT_ONCE_BYTES])
            for event in self._wire.events_received():
                if isinstance(event, Request):
                    self._open(event)
                elif isinstance(event, Frame):
                    self._take(event)
            if self._frames_since_sweep > MAX_FRAMES_PER_SWEEP:
                self._fail_flood()
                return
            self._write_out()
        self.flush()

    def eof_received(self) -> None:
        self._wire.receive_eof()
        self._write_out()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._admission.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self._session is not None:
            self._hub.sockets.pop(self._session, None)
            self._session.close()
            self._session = None

    def pause_writing(self) -> None:
        self._blocked_since_s = self._loop.time()
        # Who does not read is not listened to: answers would pile up.
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._blocked_since_s = None
        if not self._transport.is_closing():
            self._listen_again()
            self.flush()

    def shutdown(self) -> None:
        """The server stops."""
        self._close(GOING_AWAY)
        self._transport.close()

    # --- what the hub calls -----------------------------------------------------------------------

    def flush(self) -> None:
        """Sends what is due, as far as the pace and the client allow."""
        session = self._session
        while session is not None and session.has_pending and self._is_writable:
            now_s = self._loop.time()
            if now_s < self._not_before_s:
                self._flush_at(self._not_before_s)
                return
            waiting = session.pending_devices
            frame = session.next_frame()
            if frame is None:
                return
            carried = waiting - session.pending_devices
            self._not_before_s = now_s + pause_s(devices=carried, sessions=len(self._hub.sockets))
            self._wire.send_text(frame)
            self._sent_since_ping = True
            self._hub.frames_sent += 1
            self._write_out()

    def check(self, now_s: float) -> None:
        """Closes a client that stopped reading; pings one that has not been asked for a while."""
        self._frames_since_sweep = 0
        blocked = self._blocked_since_s is not None and now_s - self._blocked_since_s > STUCK_AFTER_S
        silent = self._pong_awaited and now_s - self._pinged_at_s > STUCK_AFTER_S
        if self._close_by_s is not None and now_s > self._close_by_s:
            self._transport.abort()
        elif self._admission.is_over(now_s):
            self.end()
        elif blocked or silent:
            self._hub.closed_stuck += 1
            self._transport.abort()
        else:
            self._ping_when_due(now_s)

    @property
    def key(self) -> str:
        return self._admission.key

    def end(self, code: int = UNAUTHENTICATED) -> None:
        """Closes at once: whoever is not, or no longer, allowed has nothing more to say."""
        self._close(code)
        self._transport.close()

    def _ping_when_due(self, now_s: float) -> None:
        interval_s = PING_WHILE_SENDING_S if self._sent_since_ping else PING_WHILE_SILENT_S
        if not self._pong_awaited and self._is_writable and now_s - self._pinged_at_s >= interval_s:
            self._pinged_at_s, self._pong_awaited, self._sent_since_ping = now_s, True, False
            self._wire.send_ping(b"")
            self._write_out()

    @property
    def _is_writable(self) -> bool:
        is_open = self._wire.state is State.OPEN and not self._transport.is_closing()
        return is_open and self._blocked_since_s is None

    def _open(self, request: Request) -> None:
        if (refusal := self._hub.entrance.refusal(request)) is not None:
            self._reject(refusal.status, refusal.text)
        elif (token := bearer_in(request.headers)) is not None:
            self._identify(token, request)
        else:
            self._accept(request)

    def _accept(self, request: Request) -> None:
        # Here, not before it is known who asks: many may ask at once, and all would find the same room.
        if len(self._hub.sockets) >= MAX_SESSIONS:
            self._reject(HTTPStatus.SERVICE_UNAVAILABLE, "this process is full\n")
            return
        self._wire.send_response(self._wire.accept(request))
        if self._wire.state is State.OPEN:
            self._session = LiveSession(self._hub.shared, now_s=self._loop.time())
            self._hub.sockets[self._session] = self

    def _reject(self, status: HTTPStatus, text: str) -> None:
        response = self._wire.reject(status, text)
        if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
            response.headers["Retry-After"] = "1"
        elif status is HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = 'Bearer realm="latchkey"'
        self._wire.send_response(response)

    def _identify(self, token: str, request: Request | None) -> None:
        """Of the upgrade request, or of a hello when it is None. Nothing more is heard until it is known."""
        self._transport.pause_reading()
        self._admission.ask(token, lambda outcome: self._greet(outcome, request))

    def _greet(self, outcome: Outcome, request: Request | None) -> None:
        if self._transport.is_closing():
            return
        if isinstance(outcome, Principal):
            self._welcome(outcome, request)
        elif request is None:
            self.end(UNAUTHENTICATED if isinstance(outcome, BadToken) else TRY_LATER)
        else:
            refusal = refusal_of(outcome)
            self._reject(refusal.status, refusal.text)
        self._write_out()
        for text in self._admission.take_held():
            self._hear(text)
        self._listen_again()
        self.flush()

    def _welcome(self, principal: Principal, request: Request | None) -> None:
        if request is not None:
            self._accept(request)
        if self._session is not None:
            self._session.admit(viewer_of(principal))
            if self._session.is_unwelcome:
                self.end()

    def _listen_again(self) -> None:
        is_blocked = self._blocked_since_s is not None
        if not (self._admission.is_asking or is_blocked or self._transport.is_closing()):
            self._transport.resume_reading()

    def _fail_flood(self) -> None:
        """No farewell of its own to wait for: whoever floods does not listen."""
        self._close(UNREASONABLE)
        self._transport.close()

    def _take(self, frame: Frame) -> None:
        self._frames_since_sweep += 1
        if frame.opcode is Opcode.PONG:
            self._pong_awaited = False
        elif frame.opcode is Opcode.BINARY:
            self._close(NOT_TEXT)
        elif frame.opcode in (Opcode.TEXT, Opcode.CONT):
            if frame.data:
                # Those without a byte never reach the bound of a message.
                self._fragments.append(bytes(frame.data))
            if frame.fin:
                whole = b"".join(self._fragments)
                self._fragments.clear()
                self._hear(whole)

    def _hear(self, text: bytes) -> None:
        session = self._session
        if self._admission.is_asking:
            self._admission.held.append(text)
            return
        if session is None or self._wire.state is not State.OPEN:
            return
        session.receive(text, now_s=self._loop.time())
        if (token := session.take_offer()) is not None:
            self._identify(token, None)
        elif session.is_unwelcome:
            self.end()
        elif session.is_hopeless:
            self._close(UNREASONABLE)

    def _close(self, code: int) -> None:
        if self._wire.state is State.OPEN:
            self._close_by_s = self._loop.time() + CLOSE_WITHIN_S
            self._wire.send_close(code)
            self._write_out()

    def _flush_at(self, when_s: float) -> None:
        if self._timer is None:
            self._timer = self._loop.call_at(when_s, self._flush_now)

    def _flush_now(self) -> None:
        self._timer = None
        self.flush()

    def _write_out(self) -> None:
        for data in self._wire.data_to_send():
            if data:
                self._transport.write(data)
        if self._wire.close_expected():
            self._transport.close()
