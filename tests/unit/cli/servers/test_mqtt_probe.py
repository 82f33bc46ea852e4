import socket
import threading

import pytest

from cli.servers.mqtt_probe import connack_code
from cli.stack import Stack


def test_a_known_user_is_welcome_and_an_unknown_one_is_not(stack: Stack) -> None:
    broker = stack.broker
    assert connack_code(broker.internal_port, "probe", broker.bridge_user, broker.bridge_password) == 0
    assert connack_code(broker.internal_port, "probe", broker.bridge_user, "wrong") != 0


def test_nobody_there_is_an_error_and_not_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(OSError):
        connack_code(port, "probe", "user", "password")


def test_a_peer_that_hangs_up_is_an_error_and_not_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        with pytest.raises(OSError):
            connack_code(server.getsockname()[1], "probe", "user", "password")
        thread.join()
