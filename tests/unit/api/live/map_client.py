"""A client of the live map as a developer would write it, checking every frame."""

from typing import Any

from msgspec.json import decode


class MapClient:
    """Holds what the frames told it."""

    def __init__(self) -> None:
        self.devices: dict[str, dict[str, Any]] = {}
        self.watch: int | None = None
        self.refused: list[dict[str, Any]] = []
        self.stale: bool | None = None

    def take(self, frame: bytes | str) -> None:
        """One frame of the server. Raises AssertionError when it contradicts what was told before."""
        said = decode(frame)
        match said["type"]:
            case "snapshot":
                self.watch = said["id"]
                self.devices = {}
                self._show(said["devices"])
            case "changes":
                assert said["id"] == self.watch
                self._change(said)
            case "refused":
                self.refused.append(said)
                if said["reason"] == "view_filled_up":
                    self.devices, self.watch = {}, None
                return
        assert said["count"] == len(self.devices)
        self.stale = said["stale"]

    def _change(self, said: dict[str, Any]) -> None:
        for public_id in said["vanished"]:
            del self.devices[public_id]
        for device in said["moved"]:
            assert device["id"] in self.devices
            self.devices[device["id"]] = device
        self._show(said["shown"])

    def _show(self, devices: list[dict[str, Any]]) -> None:
        for device in devices:
            assert device["id"] not in self.devices
            self.devices[device["id"]] = device
