"""Whom to look at when, so that silence is noticed without looking at everybody: pure."""

from collections.abc import Iterator

from firmware_protocol.messages import DeviceId

TICK_MS = 1_000
"""Presence thresholds are minutes; a second late is on time."""

Watched = tuple[int, DeviceId]
"""(shard, device)"""


class SilenceWheel:
    """Each watched device stands in exactly one tick. Being heard does not move it: whoever finds it too early
    puts it back with a later time, so a report costs one look into a set."""

    def __init__(self, now_ms: int) -> None:
        self._ticks: dict[int, dict[int, list[DeviceId]]] = {}
        """By shard within each tick, so that a shard is dropped without looking at devices."""
        self._watched: dict[int, set[DeviceId]] = {}
        self._others: set[int] = set()
        """Shards that became another's."""
        self._next_tick = now_ms // TICK_MS

    def __len__(self) -> int:
        return sum(len(devices) for devices in self._watched.values())

    def is_watched(self, shard: int, device_id: DeviceId) -> bool:
        devices = self._watched.get(shard)
        return devices is not None and device_id in devices

    def watch(self, shard: int, device_id: DeviceId, due_ms: int) -> None:
        """Looks at the device once `due_ms` (Unix ms) has passed; a device already watched stays where it is, and
        one of another's shard is not watched."""
        if shard in self._others:
            return
        devices = self._watched.setdefault(shard, set())
        if device_id not in devices:
            devices.add(device_id)
            # One tick later than the time itself, so that it has passed for certain.
            tick = max(due_ms // TICK_MS + 1, self._next_tick)
            self._ticks.setdefault(tick, {}).setdefault(shard, []).append(device_id)

    def take_due(self, now_ms: int, limit: int) -> list[Watched]:
        """At most `limit` devices whose time has passed; they are no longer watched."""
        due: list[Watched] = []
        for one in self._passed(now_ms):
            shard, device_id = one
            self._watched[shard].discard(device_id)
            due.append(one)
            if len(due) == limit:
                break
        return due

    def drop(self, shard: int) -> None:
        """The shard is another's now. Nothing of it stays behind: it would come alive with the device's next watch,
        and be put back beside it for ever. Nor is anything of it watched until `regain`: what a batch that was in hand
        puts here would be looked at for ever, by the clock of one who does not hear the device."""
        self._others.add(shard)
        if self._watched.pop(shard, None):
            for tick in self._ticks.values():
                tick.pop(shard, None)

    def regain(self, shard: int) -> None:
        """The shard is ours."""
        self._others.discard(shard)

    def _passed(self, now_ms: int) -> Iterator[Watched]:
        last_tick = now_ms // TICK_MS
        if last_tick < self._next_tick - 1:
            self._step_back(last_tick)
        # Not second by second: a clock that is set for the first time steps ahead by fifty years.
        for number in sorted(number for number in self._ticks if number <= last_tick):
            self._next_tick = number
            for shard, device_ids in self._ticks[number].items():
                while device_ids:
                    yield shard, device_ids.pop()
            del self._ticks[number]
        self._next_tick = last_tick + 1

    def _step_back(self, present_tick: int) -> None:
        """The clock was set back. All move with it: nobody waits longer than they would have, and not all come up
        at once."""
        step = self._next_tick - present_tick
        self._ticks = {number - step: tick for number, tick in self._ticks.items()}
        self._next_tick = present_tick
