"""The API's metrics, declared once."""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from api.live.fleet_view import FleetView
from api.live.hub import LiveHub
from api.live.relay import FeedRelay
from api.order_figures import OrderFigures

_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class QuickApp(Protocol):
    """An ASGI application that has some answers at hand."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None: ...

    def at_once(self, scope: Message) -> bytes | None:
        """The JSON of a 200 that needs nobody else; None for all that must be asked the usual way, which then hears
        the request as if it had not been asked before. `scope` is of a GET: path, query string, headers and state."""


class ApiTelemetry:
    """Figures of one process."""

    def __init__(self, view: FleetView, relay: FeedRelay, hub: LiveHub, orders: OrderFigures) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_LiveFigures(view, relay, hub))
        self._registry.register(_Orders(orders))
        ProcessCollector(registry=self._registry)
        self._requests_s = Histogram(
            "latchkey_api_request_seconds",
            "Time from request to answer, by route and class of status.",
            ("route", "status"),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._by_answer: dict[tuple[str, int], Histogram] = {}

    def answered(self, route: str, status: int, took_s: float) -> None:
        """One request; `route` is the path template, never what the client wrote."""
        series = self._by_answer.get((route, status // 100))
        if series is None:
            series = self._requests_s.labels(route, f"{status // 100}xx")
            self._by_answer[route, status // 100] = series
        series.observe(took_s)

    def exposition(self) -> tuple[bytes, str]:
        """The text Prometheus reads, and its media type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


class MeasuredApp:
    """An ASGI application that measures the one inside it."""

    def __init__(self, app: QuickApp, *, monotonic_s: Callable[[], float]) -> None:
        self._app = app
        self._monotonic_s = monotonic_s

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started_s = self._monotonic_s()
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", None) or "other"
            scope["state"]["telemetry"].answered(route, status, self._monotonic_s() - started_s)
        return None

    def at_once(self, scope: Message) -> bytes | None:
        """As the one inside it; what that leaves to the usual way is measured there."""
        started_s = self._monotonic_s()
        body = self._app.at_once(scope)
        if body is not None:
            took_s = self._monotonic_s() - started_s
            scope["state"]["telemetry"].answered(scope["route"].path, 200, took_s)
        return body


class _LiveFigures(Collector):
    def __init__(self, view: FleetView, relay: FeedRelay, hub: LiveHub) -> None:
        self._view, self._relay, self._hub = view, relay, hub

    def collect(self) -> Iterator[Metric]:
        gauges = (
            ("latchkey_api_view_devices", "Devices on the map.", len(self._view)),
            ("latchkey_api_feed_stale", "1 while the map may lag behind Redis.", int(self._relay.is_stale)),
            ("latchkey_api_map_sessions", "Open map conversations.", len(self._hub.sockets)),
        )
        counters = (
            ("latchkey_api_view_changes", "Changes applied to the map.", self._view.changes),
            ("latchkey_api_feed_fills", "Shards filled from Redis.", self._relay.fills),
            ("latchkey_api_map_frames", "Frames sent to map clients.", self._hub.frames_sent),
            (
                "latchkey_api_map_stuck",
                "Map clients closed because they stopped reading.",
                self._hub.closed_stuck,
            ),
        )
        for name, what, value in gauges:
            yield GaugeMetricFamily(name, what, value=value)
        for name, what, value in counters:
            yield CounterMetricFamily(name, what, value=value)


class _Orders(Collector):
    def __init__(self, orders: OrderFigures) -> None:
        self._orders = orders

    def collect(self) -> Iterator[Metric]:
        wishes = CounterMetricFamily(
            "latchkey_api_wishes",
            "Wishes judged, by outcome; one that meets a changed device is judged twice.",
            labels=("outcome",),
        )
        for outcome, count in self._orders.wishes.items():
            wishes.add_metric((outcome,), count)
        ended = CounterMetricFamily(
            "latchkey_api_commands_ended",
            "Commands that a person or program ended: cancelled or abandoned.",
            labels=("phase",),
        )
        for phase, count in self._orders.ended.items():
            ended.add_metric((phase,), count)
        yield from (wishes, ended)
