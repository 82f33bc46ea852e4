"""What a map query may ask of a device, packed into one integer per device."""

from collections.abc import Iterable

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gateway.core.device import Kind
from gateway.core.live_state import MapEntry

AVAILABLE = 1 << 4
"""Above the kinds, which take one bit each."""
_OPERATOR_SHIFT = 5
_OPERATOR_BITS = ((1 << 19) - 1) << _OPERATOR_SHIFT
"""An operator's number has at most 19 bits, as the registry demands."""
_BATTERY_SHIFT = 24
_NOT_BATTERY_DRIVEN = 127
"""Above every percentage: a minimum charge says nothing about a cabinet or a locker."""

ALL_KINDS = sum(1 << kind for kind in Kind)


def traits_of(entry: MapEntry) -> int:
    """Kind, availability, operator and charge of the device. A bike whose charge is unknown counts as empty."""
    battery = (entry.battery_pct or 0) if entry.kind == Kind.BIKE else _NOT_BATTERY_DRIVEN
    return (
        1 << entry.kind
        | (AVAILABLE if entry.available else 0)
        | entry.operator_id << _OPERATOR_SHIFT
        | battery << _BATTERY_SHIFT
    )


def kinds_mask(kinds: Iterable[Kind]) -> int:
    """The kinds as bits; no kinds at all means every kind."""
    return sum({1 << kind for kind in kinds}) or ALL_KINDS


class MapFilter(Struct, frozen=True):
    """Which devices a query or a watch wants."""

    kinds: int = ALL_KINDS
    """Bits as `kinds_mask` makes them."""
    only_available: bool = True
    min_battery_pct: int = 0
    operator_id: int = 0
    """Whose; 0 for anybody's, which no request may ask."""

    def accepts(self, traits: int) -> bool:
        """Whether a device with these traits is wanted."""
        looked_at, must_be = self._fixed()
        return (
            traits & looked_at == must_be
            and traits & self.kinds != 0
            and traits >> _BATTERY_SHIFT >= self.min_battery_pct
        )

    def accepts_each(self, traits: NDArray[np.int32]) -> NDArray[np.bool_]:
        """`accepts` for a whole column."""
        looked_at, must_be = self._fixed()
        wanted: NDArray[np.bool_] = (traits & looked_at) == must_be
        if self.kinds != ALL_KINDS:
            wanted &= (traits & self.kinds) != 0
        if self.min_battery_pct:
            wanted &= (traits >> _BATTERY_SHIFT) >= self.min_battery_pct
        return wanted

    def _fixed(self) -> tuple[int, int]:
        """Which bits matter, and what they must be: availability and operator in one comparison."""
        looked_at = (AVAILABLE if self.only_available else 0) | (_OPERATOR_BITS if self.operator_id else 0)
        must_be = (AVAILABLE if self.only_available else 0) | self.operator_id << _OPERATOR_SHIFT
        return looked_at, must_be
