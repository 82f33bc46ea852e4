"""A map client that holds the whole town and notes how old each change is when it arrives."""

import asyncio
import json
import time
from collections.abc import Mapping, Set
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from device_sim.ledger import Latencies

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""A snapshot of ten thousand devices is about two megabytes."""
RETRY_S = 0.5


class MapWatch:
    """Watches `box` (west, south, east, north in degrees), available or not."""

    def __init__(
        self,
        url: str,
        box: tuple[float, float, float, float],
        *,
        timed: Set[str] = frozenset(),
        token: str = "",
    ) -> None:
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._url = url
        self._box = box
        self.timed = timed
        """Public ids of the devices whose changes are timed."""
        self.devices: dict[str, Any] = {}
        self.changes = 0
        self._newest_at: dict[str, int] = {}
        self.lags = Latencies()
        """From the making of a report until its change came in."""
        self.refused = ""
        """Why the server would not show the box, if so."""

    async def run(self) -> None:
        """Watches until cancelled; comes back when the connection is lost."""
        while True:
            try:
                async with connect(
                    self._url, max_size=MAX_FRAME_BYTES, compression=None, additional_headers=self._headers
                ) as socket:
                    watch = {"type": "watch", "id": 1, "box": self._box, "zoom": 11, "availability": "any"}
                    await socket.send(json.dumps(watch))
                    async for frame in socket:
                        self._take(json.loads(frame), time.time() * 1000)
            except (OSError, WebSocketException):
                pass
            await asyncio.sleep(RETRY_S)

    def _take(self, frame: Mapping[str, Any], now_ms: float) -> None:
        match frame["type"]:
            case "snapshot":
                self.devices = {device["id"]: device for device in frame["devices"]}
                self._newest_at |= {device["id"]: device["at"] for device in frame["devices"]}
            case "changes":
                for device in (*frame["shown"], *frame["moved"]):
                    self._time(device, now_ms)
                    self.devices[device["id"]] = device
                for gone in frame["vanished"]:
                    self.devices.pop(gone, None)
                self.changes += len(frame["shown"]) + len(frame["moved"]) + len(frame["vanished"])
            case "refused":
                self.refused = f"{frame['reason']}: {frame['detail']}"

    def _time(self, device: Mapping[str, Any], now_ms: float) -> None:
        """A device that went quiet, or is shown again after a reconnect, says nothing about our speed."""
        newest_at = self._newest_at.get(device["id"], 0)
        # Of those that are not timed, too: one that was used is known again only after it was shown.
        self._newest_at[device["id"]] = max(newest_at, device["at"])
        if device["id"] in self.timed and device["at"] > newest_at:
            self.lags.add((now_ms - device["at"]) / 1000)
