"""What a demo says: where to look, what to type, and what it came to."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from device_sim.movement import Place
from device_sim.profiles import Kind, Level, Profile
from device_sim.trip_count import TripCount
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import report_topic


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything of a running demo is."""

    api_port: int
    device_port: int
    folder: Path
    gateway_port: int = 0
    token: str = ""
    """Of an operator_admin, for as long as somebody looks at a demo; in a fragment it stays in the browser."""

    @property
    def plain_page(self) -> str:
        return f"http://127.0.0.1:{self.api_port}/"

    @property
    def page(self) -> str:
        return self.plain_page + (f"#token={self.token}" if self.token else "")

    @property
    def websocket(self) -> str:
        return f"ws://127.0.0.1:{self.api_port}/v1/live"

    def text(self) -> str:
        """For a person, a line each."""
        return "\n".join(
            (
                "",
                f"  the map      {self.page}",
                f"  API docs     {self.plain_page}docs",
                f"  WebSocket    {self.websocket}",
                f"  gateway      http://127.0.0.1:{self.gateway_port}/readyz, /metrics",
                f"  broker       127.0.0.1:{self.device_port} (MQTT; user name = device id)",
                f"  data, logs   {self.folder}",
                "",
                "Ask it something:",
                "",
                f"  curl -H 'Authorization: Bearer {self.token}' {self.plain_page}v1/fleet",
                "",
            )
        )


def hand_line(device_port: int, device: DeviceId, password: str, place: Place) -> str:
    """A ready-made command that puts one more bike on the map."""
    report = {
        "fix": {
            "lat_e7": round(place.lat_deg * 1e7),
            "lon_e7": round(place.lon_deg * 1e7),
            "accuracy_m": 5,
        },
        "lock": {"bolt": 1},
        "battery_pct": 88,
    }
    return (
        "Be a device yourself (another position moves it):\n\n"
        f"  mosquitto_pub -h 127.0.0.1 -p {device_port} -u {device} -P {password} -i {device} -q 1"
        f" -t {report_topic(device)} -m '{json.dumps(report, separators=(',', ':'))}'\n"
    )


def order_line(devices: Sequence[DeviceId], profiles: Sequence[Profile]) -> str:
    """A ready-made command that opens the first bike which takes commands; empty when there is none."""
    for device_id, profile in zip(devices, profiles, strict=True):
        if profile.kind is Kind.BIKE and profile.level is Level.FULL:
            return f"Open a bike, here or on its card on the map:\n\n  ./latchkey device unlock {device_id}\n"
    return ""


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What a demo came to."""

    devices: int
    connected: int
    sent: int
    """Reports that left a device, each once."""
    confirmed: int
    """Of these, those the broker has confirmed; the others met the faults of the profile."""
    profile: str
    """Of faults."""
    stored: int
    quarantined: int
    kept: int
    receipted: int
    seconds: float
    page: str
    map_devices: int
    """On the map of our own client at the end."""
    map_changes: int
    p50_ms: float | None
    """From the moment a device made a report until our map client had it; over the devices whose reports carry
    our clock, with the delays, outages and wrong clocks of the profile."""
    p99_ms: float | None
    map_refused: str = ""
    """Why the server would not show our map client the town, if so."""
    replay: TripCount | None = None
    """What the file of trips held, if there was one."""

    def text(self) -> str:
        """For a person."""
        lines = [
            "",
            f"  devices                    {self.connected} of {self.devices} connected",
            f"  sent / confirmed / stored  {self.sent} / {self.confirmed} / {self.stored}{self._of_others()}",
            f"  quarantined                {self.quarantined}",
            f"  kept / receipted           {self.kept} / {self.receipted}",
            f"  on the map                 {self.map_devices} devices, {self.map_changes} changes",
            f"  report to map, p50 / p99   {_ms(self.p50_ms)} / {_ms(self.p99_ms)}",
            f"  the map was                {self.page}",
        ]
        if self.profile != "none":
            lines += [
                "",
                f"  Fault profile {self.profile}: reports were lost, late and repeated on purpose, devices cut off and"
                " clocks set wrong;",
                "  the times above include that. --profile none shows Latchkey alone.",
            ]
        if self.map_refused:
            lines.append(f"  our map client was refused: {self.map_refused}")
        return "\n".join(lines)

    def _of_others(self) -> str:
        """A device by hand is stored too, and is none of the fleet."""
        more = self.stored - self.sent
        return f" ({more} of others)" if more > 0 else ""


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
