"""The gateway's sessions on a broker that served an earlier run, and whatever still waits in them, forgotten."""

import socket

from mqtt5 import ConnectPacket, DisconnectPacket

from cli.stack import Stack
from firmware_protocol.topics import SHARDS
from gateway.mqtt.lane_sessions import now_client_id, report_client_id

WITHIN_S = 20.0
"""A queue of minutes takes a broker a moment to throw away."""


def forget_sessions(stack: Stack) -> None:
    """No gateway may be connected. Raises OSError, or ConnectionError when the broker refuses."""
    broker = stack.broker
    for lane in range(SHARDS):
        for client_id in (report_client_id(lane), now_client_id(lane)):
            # MQTT 5 section 3.1.2.4: a clean start discards the session; it then ends with the connection.
            connect = ConnectPacket(
                client_id,
                username=broker.gateway_user,
                password=broker.gateway_password.encode(),
                clean_start=True,
                session_expiry_interval=0,
            )
            with socket.create_connection(("127.0.0.1", broker.internal_port), timeout=WITHIN_S) as link:
                link.sendall(connect.write())
                if link.recv(4)[:1] != b"\x20":
                    raise ConnectionError(f"the broker refused {client_id}")
                link.sendall(DisconnectPacket().write())
