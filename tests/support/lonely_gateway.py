"""A gateway whose servers do not answer."""

import socket

from gateway.clock import SystemClock
from gateway.key_wrapping import new_key_encryption_key
from gateway.settings import Settings
from gateway.wiring import Gateway


def lonely_environment() -> dict[str, str]:
    """Settings that point to a port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        "LATCHKEY_POSTGRES_DSN": f"postgresql://nobody@127.0.0.1:{port}/nothing",
        "LATCHKEY_REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "LATCHKEY_MQTT_PORT": str(port),
        "LATCHKEY_GATEWAY_NAME": "lonely",
        "LATCHKEY_GATEWAY_HTTP_PORT": "0",
        "LATCHKEY_GATEWAY_LANES": "3,7",
        "LATCHKEY_KEY_ENCRYPTION_KEY": new_key_encryption_key("lonely"),
    }


def lonely_gateway() -> Gateway:
    """Made and connected, but nothing of it runs."""
    return Gateway(Settings.from_environment(lonely_environment()), SystemClock())
