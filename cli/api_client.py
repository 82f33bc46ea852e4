"""Questions to the API from the command line: JSON in, JSON out, refusals as sentences."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 40.0
"""Above the longest wait an answer may take."""


class Unanswered(Exception):
    """Nobody is there, or what was said is no answer."""


class BadAddress(ValueError):
    """Nobody can be asked there."""


class Refused(Exception):
    """The API said no; the sentence is its own."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(printable(str(problem.get("detail") or problem.get("title") or f"error {status}")))
        self.status = status
        self.problem = problem


@dataclass(frozen=True, slots=True)
class ApiClient:
    """One API, and who asks it."""

    address: str
    """Such as http://127.0.0.1:8080."""
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        """Raises BadAddress, before anything is asked: what was not sent is not in doubt."""
        try:
            where = urlsplit(self.address)
            good = where.scheme in ("http", "https") and where.hostname and where.port != 0
        except ValueError:
            good = False
        if not good:
            raise BadAddress(f"{self.address!r} is no address; one looks like http://127.0.0.1:8080")

    def get(self, path: str) -> Any:
        """Raises Refused, Unanswered."""
        return self._ask("GET", path, None, {})

    def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
        """Raises Refused, Unanswered."""
        return self._ask("POST", path, json.dumps(body), headers or {})

    def _ask(self, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> Any:
        where = urlsplit(self.address)
        kind = HTTPSConnection if where.scheme == "https" else HTTPConnection
        connection = kind(where.hostname or "", where.port, timeout=TIMEOUT_S)
        said = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers}
        try:
            connection.request(method, where.path.rstrip("/") + path, body, said)
            answer = connection.getresponse()
            text = answer.read()
            parsed = json.loads(text) if text else {}
        except (OSError, HTTPException, ValueError) as error:
            raise Unanswered(f"{self.address} does not answer: {error}") from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise Refused(answer.status, parsed if isinstance(parsed, dict) else {})
        return parsed


def printable(text: str) -> str:
    """An answer may hold a device's own words, and those must not steer a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
