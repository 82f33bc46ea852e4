"""TCP ports that no other stack on this machine will take while we live."""

import random
import socket
from collections.abc import Iterator

LOWEST_PORT = 15_000
HIGHEST_PORT = 32_000
"""Below the range from which Linux takes source ports (32768 and up), so no outgoing connection can hold one."""
MAX_TRIES = 500


class PortTaken(Exception):
    """Somebody listens there, or another stack has reserved it."""


class PortReservation:
    """One port, reserved among stacks by the name of an abstract socket: the kernel frees it when we die."""

    def __init__(self, port: int) -> None:
        """Raises PortTaken."""
        self.port = port
        self._mark = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._mark.bind(f"\0latchkey-port-{port}")
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError as error:
            self._mark.close()
            raise PortTaken(port) from error

    def release(self) -> None:
        """Lets other stacks have the port."""
        self._mark.close()


def reserve_port(chance: random.Random) -> PortReservation:
    """A free port on the loopback address, reserved until released. Raises PortTaken after many tries."""
    for port in _candidates(chance):
        try:
            return PortReservation(port)
        except PortTaken:
            continue
    raise PortTaken("no free port")


def _candidates(chance: random.Random) -> Iterator[int]:
    for _ in range(MAX_TRIES):
        yield chance.randint(LOWEST_PORT, HIGHEST_PORT)
