import random
import socket

import pytest

from cli.servers.ports import HIGHEST_PORT, LOWEST_PORT, PortReservation, PortTaken, reserve_port


def test_a_reserved_port_is_in_the_range_and_nobody_elses_until_released() -> None:
    reserved = reserve_port(random.Random(1))
    assert LOWEST_PORT <= reserved.port <= HIGHEST_PORT
    with pytest.raises(PortTaken):
        PortReservation(reserved.port)
    reserved.release()
    PortReservation(reserved.port).release()


def test_a_port_that_a_stranger_listens_on_is_taken() -> None:
    reserved = reserve_port(random.Random(2))
    reserved.release()
    with socket.create_server(("127.0.0.1", reserved.port)), pytest.raises(PortTaken):
        PortReservation(reserved.port)


def test_two_stacks_with_the_same_chance_get_different_ports() -> None:
    first, second = reserve_port(random.Random(3)), reserve_port(random.Random(3))
    assert first.port != second.port
    first.release()
    second.release()
