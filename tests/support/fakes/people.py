"""Keys, riders and what was taken back, in memory."""

from collections.abc import Collection

from gateway.people import KnownKey, Revocations
from gateway.ports import StoreUnavailable


class FakePeople:
    """Both ports of `gateway.people`."""

    def __init__(self) -> None:
        self.keys: dict[str, KnownKey] = {}
        self.taken_back: dict[tuple[int, str], int] = {}
        self.riders: dict[tuple[int, bytes], str] = {}
        self.used: dict[str, int] = {}
        self.is_away = False

    async def find(self, key_id: str) -> KnownKey | None:
        """Raises StoreUnavailable."""
        self._reach()
        return self.keys.get(key_id)

    async def note_used(self, key_ids: Collection[str], at_ms: int) -> None:
        """Raises StoreUnavailable."""
        self._reach()
        self.used |= dict.fromkeys(key_ids, at_ms)

    async def revocations(self) -> Revocations:
        """Raises StoreUnavailable."""
        self._reach()
        return dict(self.taken_back)

    async def rider(self, operator_id: int, wechat_hash: bytes) -> str:
        """Raises StoreUnavailable."""
        self._reach()
        return self.riders.setdefault((operator_id, wechat_hash), f"{len(self.riders):020d}")

    def _reach(self) -> None:
        if self.is_away:
            raise StoreUnavailable("gone")
