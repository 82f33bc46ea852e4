"""A listener on a free port, or an error at once."""

import socket

import pytest

from api.server import bound
from tests.unit.api.surface import serving


def test_port_0_takes_a_free_port() -> None:
    with bound("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0


def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"in use: '127.0.0.1:{port}'"):
            bound("127.0.0.1", port)


async def test_http_and_the_documents_share_the_port() -> None:
    async with serving() as surface:
        assert (await surface.http.get("/openapi.json")).status_code == 200
        assert "server" not in (await surface.http.get("/livez")).headers
