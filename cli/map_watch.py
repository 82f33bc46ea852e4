"""A map client that holds the whole town and notes how old each change is when it arrives."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""A snapshot of ten thousand devices is about two megabytes."""
RETRY_S = 0.5


class MapWatch:
    """Watches `box` (west, south, east, north in degrees), available or not."""

    def __init__(self, url: str, box: tuple[float, float, float, float]) -> None:
        self._url = url
        self._box = box
        self.devices: dict[str, Any] = {}
        self.changes = 0
        self.lags_ms: list[float] = []
        self.refused = ""
        """Why the server would not show the box, if so."""

    async def run(self) -> None:
        """Watches until cancelled; comes back when the connection is lost."""
        while True:
            try:
                async with connect(self._url, max_size=MAX_FRAME_BYTES, compression=None) as socket:
                    watch = {"type": "watch", "id": 1, "box": self._box, "zoom": 11, "availability": "any"}
                    await socket.send(json.dumps(watch))
                    async for frame in socket:
                        self._take(json.loads(frame), time.time() * 1000)
            except (OSError, ConnectionClosed):
                await asyncio.sleep(RETRY_S)

    def _take(self, frame: Mapping[str, Any], now_ms: float) -> None:
        match frame["type"]:
            case "snapshot":
                self.devices = {device["id"]: device for device in frame["devices"]}
            case "changes":
                for device in (*frame["shown"], *frame["moved"]):
                    self.devices[device["id"]] = device
                    self.lags_ms.append(now_ms - device["at"])
                for gone in frame["vanished"]:
                    self.devices.pop(gone, None)
                self.changes += len(frame["shown"]) + len(frame["moved"]) + len(frame["vanished"])
            case "refused":
                self.refused = f"{frame['reason']}: {frame['detail']}"

    def lag_ms(self, share: float) -> float | None:
        """A percentile of how old changes were on arrival; None before the first."""
        if not self.lags_ms:
            return None
        ordered = sorted(self.lags_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
