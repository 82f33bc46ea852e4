"""Map entries for the laws of the live map."""

from hypothesis import strategies as st

from firmware_protocol.messages import DeviceId
from gateway.core.device import Kind
from gateway.core.live_state import MapEntry, Reason
from geo.point import E7


def entry(
    number: int,
    *,
    lat_e7: int = 312_304_000,
    lon_e7: int = 1_214_737_000,
    kind: Kind = Kind.BIKE,
    available: bool = True,
    battery_pct: int | None = 80,
    public_id: str | None = None,
    at_ms: int = 1_760_000_000_000,
) -> MapEntry:
    """One device in Shanghai, available unless said otherwise."""
    return MapEntry(
        device_id=DeviceId(f"d{number}"),
        public_id=public_id or f"p{number}",
        marker=100_000_000 + number,
        operator_id=1,
        kind=kind,
        lat_e7=lat_e7,
        lon_e7=lon_e7,
        available=available,
        reasons=() if available else ((int(Reason.LOW_BATTERY), 1_759_999_000_000),),
        battery_pct=battery_pct,
        units=1 if available else 0,
        spaces=0,
        claimed=False,
        at_ms=at_ms,
    )


def entries(*, numbers: int = 8, spread_e7: int = 400_000) -> st.SearchStrategy[MapEntry]:
    """Few devices on few places, so that they meet; sometimes at the edge of the map."""
    lats = st.integers(-spread_e7, spread_e7)
    lons = st.one_of(
        st.integers(-spread_e7, spread_e7),
        st.integers(-spread_e7, spread_e7),
        st.integers(180 * E7 - spread_e7, 180 * E7),
        st.integers(-180 * E7, -180 * E7 + spread_e7),
    )
    return st.builds(
        lambda number, rotation, **rest: entry(number, public_id=f"p{number}.{rotation}", **rest),
        st.integers(0, numbers - 1),
        st.integers(0, 1),
        lat_e7=lats,
        lon_e7=lons,
        kind=st.sampled_from(Kind),
        available=st.booleans(),
        battery_pct=st.one_of(st.none(), st.integers(0, 100)),
        at_ms=st.integers(1, 10**13),
    )
