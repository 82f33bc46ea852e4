"""What the routes that a broker asks need of the world."""

from typing import Protocol

from msgspec import Struct

from gateway.core.device import Status


class Admission(Struct, frozen=True):
    """What is known of a device that wants to enter."""

    status: Status
    verifier: str
    """Empty where it has no password."""
    has_certificate: bool
    """One that stands."""

    def __repr__(self) -> str:
        """Without the verifier."""
        return f"Admission({self.status!r})"


class BrokerAccess(Protocol):
    """Who may enter."""

    async def of(self, name: str) -> Admission | None:
        """At most two seconds old; None for a device nobody registered. Raises StoreUnavailable."""
