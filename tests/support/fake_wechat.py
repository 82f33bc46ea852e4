"""The other side of `code2session`, on loopback: knows a few codes and can misbehave."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

APP_ID, SECRET = "wx-test-app", "wechat-secret-canary"
SESSION_KEY = "session-key-canary"


class FakeWeChat(ThreadingHTTPServer):
    """`answers` by code; others are 40029, as is a code that was used. A wrong secret is 40125."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.people: dict[str, str] = {}
        """Openid by code; each code is good once."""
        self.says: dict[str, bytes] = {}
        """Bodies by code, whatever they are."""
        self.asked: list[str] = []
        self.released = Event()
        """Until it is set, the code `slow` gets no answer."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/sns/jscode2session"

    def answer(self, query: dict[str, str]) -> bytes:
        """The body for this query."""
        code = query.get("js_code", "")
        self.asked.append(code)
        if code == "slow":
            self.released.wait(30)
        if code in self.says:
            return self.says[code]
        if (query.get("appid"), query.get("secret")) != (APP_ID, SECRET):
            return _json(errcode=40125, errmsg="invalid appsecret")
        openid = self.people.pop(code, None)
        if openid is None:
            return _json(errcode=40029, errmsg="invalid code")
        return _json(openid=openid, session_key=SESSION_KEY, unionid="u")


class _Asked(BaseHTTPRequestHandler):
    server: FakeWeChat

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        body = self.server.answer(query)
        self.send_response(200)
        # As the real one does.
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""


def _json(**said: Any) -> bytes:
    return json.dumps(said).encode()


@contextmanager
def fake_wechat() -> Iterator[FakeWeChat]:
    """Answers while the block runs."""
    server = FakeWeChat()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
