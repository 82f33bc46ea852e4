"""Asks a broker whether it lets a user in: one CONNECT, one CONNACK, nothing kept."""

import socket

ASK_TIMEOUT_S = 2.0


def connack_code(port: int, client_id: str, username: str, password: str) -> int:
    """The return code of an MQTT 3.1.1 CONNECT on loopback; 0 is welcome. Raises OSError while nobody answers."""
    with socket.create_connection(("127.0.0.1", port), ASK_TIMEOUT_S) as connection:
        connection.sendall(_connect_packet(client_id, username, password))
        answer = b""
        while len(answer) < 4:
            if not (received := connection.recv(4 - len(answer))):
                raise ConnectionResetError("the broker closed the connection without an answer")
            answer += received
        connection.sendall(b"\xe0\x00")
    return answer[3]


def _connect_packet(client_id: str, username: str, password: str) -> bytes:
    clean_session_with_user_and_password = 0b1100_0010
    keep_alive_s = 10
    body = (
        _text("MQTT")
        + bytes((4, clean_session_with_user_and_password))
        + keep_alive_s.to_bytes(2, "big")
        + _text(client_id)
        + _text(username)
        + _text(password)
    )
    assert len(body) < 128, "one length byte is enough for a probe"
    return bytes((0x10, len(body))) + body


def _text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(2, "big") + encoded
