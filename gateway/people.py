"""Who may ask, as PostgreSQL has it: keys of programs, riders, tokens that were taken back."""

from collections.abc import Collection, Mapping
from typing import Protocol

from msgspec import Struct


class KnownKey(Struct, frozen=True):
    """An API key without its secret. Times in Unix ms."""

    key_id: str
    operator_id: int
    role: str
    name: str
    secret_hash: bytes
    created_ms: int
    expires_ms: int | None = None
    revoked_ms: int | None = None
    last_used_ms: int | None = None

    def is_good(self, now_ms: int) -> bool:
        """Neither revoked nor over."""
        return self.revoked_ms is None and (self.expires_ms is None or now_ms < self.expires_ms)


Revocations = Mapping[tuple[int, str], int]
"""By operator and subject: tokens issued before this moment (Unix ms) are refused."""


class ApiKeys(Protocol):
    """Keys of programs. All raise StoreUnavailable."""

    async def find(self, key_id: str) -> KnownKey | None: ...

    async def note_used(self, key_ids: Collection[str], at_ms: int) -> None:
        """Now and then, for the list that people read."""


class People(Protocol):
    """Riders and what was taken back from anybody. All raise StoreUnavailable."""

    async def revocations(self) -> Revocations:
        """Those that a token may still be younger than."""

    async def rider(self, operator_id: int, wechat_hash: bytes) -> str:
        """The person of this hash, made when it is their first time."""
