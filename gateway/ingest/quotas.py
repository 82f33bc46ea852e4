"""How much one device may say: what is beyond it is neither stored nor receipted, only counted."""

from collections.abc import Sequence

from msgspec.structs import replace

from firmware_protocol.messages import DeviceId
from gateway.counters import IngestCounters
from gateway.ports import Arrived

WINDOW_MS = 300_000
"""Five minutes: as long as the broker's queue lasts, so that what waited out an outage is within the bound."""


class ReportQuotas:
    """Counts per device and window. A kept report beyond the bound gets no receipt: its device sends it again."""

    def __init__(self, per_window: int, counters: IngestCounters) -> None:
        """0 for no bound."""
        self._per_window = per_window
        self._counters = counters
        self._said: dict[DeviceId, int] = {}
        self._window = -1

    def mark(self, arrived: list[Arrived], now_ms: int) -> Sequence[int]:
        """Marks, in place, the frames beyond the bound of their device, and returns where they are. They stay in
        their order among the others, because acknowledgements must go out in it (MQTT-4.6.0-2)."""
        if not self._per_window:
            return ()
        if now_ms // WINDOW_MS != self._window:
            self._window = now_ms // WINDOW_MS
            self._said.clear()
        said, bound = self._said, self._per_window
        beyond: list[int] = []
        for place, one in enumerate(arrived):
            device_id = one.device_id
            count = said[device_id] = said.get(device_id, 0) + 1
            if count > bound:
                beyond.append(place)
        for place in beyond:
            arrived[place] = replace(arrived[place], beyond_quota=True)
        if beyond:
            self._counters.beyond_quota(arrived[beyond[0]].device_id, len(beyond))
        return beyond
