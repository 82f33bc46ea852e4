"""A map client that says what it wants and never reads."""

import socket
from contextlib import suppress

from msgspec.json import encode


def upgrade(token: str = "") -> bytes:
    """The request that begins the WebSocket; without a token a hello must follow."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"GET /v1/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{authorization}"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def masked(opcode: int, payload: bytes = b"", *, flags: int = 0x80) -> bytes:
    """One client frame; `flags` are FIN and the reserved bits. A mask of zeros leaves the text as it is."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65_536:
        length = bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return bytes([flags | opcode]) + length + bytes(4) + payload


def upgraded(port: int, token: str, *, receive_buffer_bytes: int = 4_096) -> socket.socket:
    """A raw connection on which the WebSocket has begun."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    raw.settimeout(30)
    raw.connect(("127.0.0.1", port))
    raw.sendall(upgrade(token))
    assert raw.recv(1_024).startswith(b"HTTP/1.1 101")
    return raw


def stuck_client(port: int, token: str, watch: object) -> socket.socket:
    """Upgraded and watching; nobody will read."""
    raw = upgraded(port, token)
    raw.sendall(masked(1, encode(watch)))
    return raw


def read_to_the_end(raw: socket.socket) -> bytes:
    """Everything until the server ends the connection, with or without a reset. Raises TimeoutError after 30 s."""
    received = b""
    with suppress(ConnectionResetError):
        while data := raw.recv(65_536):
            received += data
    return received
