import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from cli.examination import Grade
from cli.readiness import examine_gateway


@contextmanager
def gateway(status: int, body: bytes) -> Iterator[str]:
    """Something that answers every question the same way."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_ready_gateway_is_good() -> None:
    with gateway(200, b'{"ready": true}') as address:
        (found,) = examine_gateway(address)
    assert found.grade is Grade.GOOD


def test_one_that_is_not_ready_says_why_in_one_printable_line() -> None:
    with gateway(503, b"redis\n\x1b[31mis away") as address:
        (found,) = examine_gateway(address)
    assert found.grade is Grade.WRONG
    assert "redis" in found.what
    assert found.what.isprintable()


def test_one_that_does_not_answer_is_a_finding_and_not_a_crash() -> None:
    with gateway(200, b"") as address:
        pass
    (found,) = examine_gateway(address)
    assert found.grade is Grade.WRONG
    assert found.mended_by
