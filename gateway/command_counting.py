"""What commands count, as metrics and log events."""

from typing import Final

from gateway import telemetry
from gateway.command_ports import CommandRecord
from gateway.core.command import Phase

MAX_MODELS: Final = 16
MAX_FIRMWARES: Final = 32
"""Labels must stay few: each pair is sixteen series, and a device says what it likes about its firmware."""

OTHER: Final = "other"

REFUSED_ACKS: Final = frozenset({"bad_seal", "malformed", "unknown_device", "unknown_command"})

log = telemetry.logger()


class Labels:
    """The first few values get names of their own, all others share one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._named: set[str] = set()

    def name(self, value: str) -> str:
        """The value itself, or `other`."""
        if value in self._named:
            return value
        if not value or len(self._named) >= self._limit:
            return OTHER
        self._named.add(value)
        return value


class MetricCommandCounters:
    """Implements `CommandCounters`."""

    def __init__(self) -> None:
        self._models = Labels(MAX_MODELS)
        self._firmwares = Labels(MAX_FIRMWARES)

    def ended(self, command: CommandRecord) -> None:
        telemetry.series(telemetry.COMMANDS, command.kind.name.lower(), command.phase.value).inc()
        if command.phase is Phase.CONFIRMED and command.settled_ms is not None:
            labels = (self._models.name(command.model), self._firmwares.name(command.firmware))
            took_s = max(0, command.settled_ms - command.issued_ms) / 1000
            telemetry.series(telemetry.COMMAND_SECONDS, *labels).observe(took_s)

    def incident(self, kind: str) -> None:
        telemetry.INCIDENTS.labels(kind).inc()
        log.error("incident_recorded", kind=kind)

    def ack_refused(self, reason: str) -> None:
        telemetry.BAD_ACKS.labels(reason if reason in REFUSED_ACKS else OTHER).inc()

    def sent(self, *, again: bool) -> None:
        telemetry.series(telemetry.COMMAND_FRAMES, "again" if again else "first").inc()

    def open_now(self, count: int) -> None:
        telemetry.COMMANDS_OPEN.set(count)
