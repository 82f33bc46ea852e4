"""Leases in memory."""

from collections.abc import Mapping, Sequence

from gateway.ports import Clock

LEASE_MS = 10_000


class FakeLeases:
    """Implements `ports.Leases`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[int, tuple[str, int, int]] = {}

    async def take(self, owner: str, lanes: Sequence[int]) -> Mapping[int, int]:
        now_ms = self._clock.now_ms()
        taken: dict[int, int] = {}
        for lane in lanes:
            holder, number, expires_ms = self._held.get(lane, ("", 0, 0))
            if holder == owner or expires_ms <= now_ms:
                self._held[lane] = (owner, number + 1, now_ms + LEASE_MS)
                taken[lane] = number + 1
        return taken

    async def renew(self, owner: str, held: Mapping[int, int]) -> frozenset[int]:
        ours = frozenset(lane for lane, number in held.items() if self._is_ours(owner, lane, number))
        for lane in ours:
            self._held[lane] = (owner, held[lane], self._clock.now_ms() + LEASE_MS)
        return ours

    async def release(self, owner: str, held: Mapping[int, int]) -> None:
        for lane, number in held.items():
            if self._is_ours(owner, lane, number):
                self._held[lane] = ("", number, 0)

    def is_held(self, owner: str, lane: int, number: int) -> bool:
        """As the transaction of a claim sees it."""
        return self._is_ours(owner, lane, number) and self._held[lane][2] > self._clock.now_ms()

    def _is_ours(self, owner: str, lane: int, number: int) -> bool:
        holder, held_number, _ = self._held.get(lane, ("", 0, 0))
        return (holder, held_number) == (owner, number)
