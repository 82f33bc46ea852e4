"""Changes of live states on their way into the store."""

from collections.abc import Sequence

from msgspec import Struct

from firmware_protocol.messages import DeviceId
from gateway.core.live_state import LiveState


class Step(Struct, frozen=True, gc=False):
    """One accepted change of one device's live state."""

    device_id: DeviceId
    before_revision: int
    """0 when there was no state."""
    after: LiveState
    announce: bool
    """True when maps must hear of it: `after.entry` differs beyond noise from what was announced."""


class ShardSteps(Struct, frozen=True):
    """All steps of one shard in one atomic script."""

    shard: int
    epoch: str
    steps: Sequence[Step]
    packed: bytes = b""
    """The same as the store is sent it, where `pack` made it."""
