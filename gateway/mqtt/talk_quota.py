"""How many hellos and acks of one device are looked at: they come through sessions that never pause."""

from typing import Final

from firmware_protocol.messages import DeviceId
from gateway import telemetry

WINDOW_MS: Final = 60_000
MOST: Final = 600
"""Of one device in a window. Sixty commands a minute, each answered twice and to every copy, are fewer; and so many
wait at most where 20,000 of all devices may."""

log = telemetry.logger()


class TalkQuota:
    """Without it one device fills what waits, and the hellos and acks of all others are dropped with its own."""

    def __init__(self) -> None:
        self._said: dict[DeviceId, int] = {}
        self._window = -1

    def allows(self, device_id: DeviceId, now_ms: int) -> bool:
        """Counts one more; False when it is beyond. Whoever is beyond is named once in a window."""
        if now_ms // WINDOW_MS != self._window:
            self._window = now_ms // WINDOW_MS
            self._said.clear()
        count = self._said[device_id] = self._said.get(device_id, 0) + 1
        if count == MOST + 1:
            log.warning("device_says_too_much", device=device_id, hellos_and_acks=MOST, within_ms=WINDOW_MS)
        return count <= MOST
