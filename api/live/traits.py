"""What a map query may ask of a device, packed into one integer per device."""

from collections.abc import Iterable

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gateway.core.device import Kind
from gateway.core.live_state import MapEntry

AVAILABLE = 1 << 8
"""Above the kinds, which take one bit each."""
_BATTERY_SHIFT = 16
_NOT_BATTERY_DRIVEN = 127
"""Above every percentage: a minimum charge says nothing about a cabinet or a locker."""

ALL_KINDS = sum(1 << kind for kind in Kind)


def traits_of(entry: MapEntry) -> int:
    """Kind, availability and charge of the device. A bike whose charge is unknown counts as empty."""
    battery = (entry.battery_pct or 0) if entry.kind == Kind.BIKE else _NOT_BATTERY_DRIVEN
    return 1 << entry.kind | (AVAILABLE if entry.available else 0) | battery << _BATTERY_SHIFT


def kinds_mask(kinds: Iterable[Kind]) -> int:
    """The kinds as bits; no kinds at all means every kind."""
    return sum({1 << kind for kind in kinds}) or ALL_KINDS


class MapFilter(Struct, frozen=True):
    """Which devices a query or a watch wants."""

    kinds: int = ALL_KINDS
    """Bits as `kinds_mask` makes them."""
    only_available: bool = True
    min_battery_pct: int = 0

    def accepts(self, traits: int) -> bool:
        """Whether a device with these traits is wanted."""
        return (
            traits & self.kinds != 0
            and (not self.only_available or traits & AVAILABLE != 0)
            and traits >> _BATTERY_SHIFT >= self.min_battery_pct
        )

    def accepts_each(self, traits: NDArray[np.int32]) -> NDArray[np.bool_]:
        """`accepts` for a whole column."""
        wanted: NDArray[np.bool_] = (traits & self.kinds) != 0
        if self.only_available:
            wanted &= (traits & AVAILABLE) != 0
        if self.min_battery_pct:
            wanted &= (traits >> _BATTERY_SHIFT) >= self.min_battery_pct
        return wanted
