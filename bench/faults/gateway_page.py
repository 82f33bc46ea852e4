"""What a gateway says of itself over HTTP."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable

WITHIN_S = 10.0


class GatewayPage:
    """/metrics and /readyz of one gateway process, by whatever port it has now."""

    def __init__(self, port: Callable[[], int]) -> None:
        self._port = port

    def metrics(self) -> dict[str, float]:
        """Every series by its full name; empty while nobody answers."""
        _, body = self._get("/metrics")
        series = (line.rpartition(" ") for line in body.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in series}

    def metric(self, series: str) -> float:
        """One series such as `latchkey_reports_total{outcome="late"}`; 0 when it is absent."""
        return self.metrics().get(series, 0.0)

    def total(self, name: str) -> float:
        """A counter over all its labels."""
        return sum(v for series, v in self.metrics().items() if series.partition("{")[0] == name)

    def is_ready(self) -> bool:
        return self._get("/readyz")[0] == 200

    def reasons(self) -> list[str]:
        """Why it is not ready."""
        _, body = self._get("/readyz")
        return list(json.loads(body)["reasons"]) if body else ["no answer"]

    def _get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port()}{path}", timeout=WITHIN_S) as got:
                return got.status, got.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()
        except OSError:
            return 0, ""
