"""What a map client and the server say to each other over the WebSocket."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from api.live.map_device import map_device_json
from api.live.outbox import Parcel
from api.live.traits import MapFilter, kinds_mask
from gateway.core.device import Kind
from geo import box as boxes
from geo.box import BoundingBox

MAX_CLIENT_FRAME_BYTES = 8 * 1024
"""A watch needs 200 bytes; the rest is room for fields that later versions add."""

MAX_DETAIL_CHARS = 120
"""A sentence for the developer, with nothing of the client's own text in it that could not be shown."""

MAX_WATCH_ID = 2**53 - 1
"""The largest integer a JavaScript client counts to exactly."""

WatchId = Annotated[int, Meta(ge=0, le=MAX_WATCH_ID)]
Degrees = Annotated[float, Meta(ge=-900.0, le=900.0)]
KindName = Literal["bike", "cabinet", "locker"]


class Hello(Struct, frozen=True, tag="hello"):
    """Who is asking: the first frame where the upgrade request did not say it; later a fresh token."""

    token: Annotated[str, Meta(min_length=1, max_length=MAX_CLIENT_FRAME_BYTES)]
    """A bearer token or an API key."""


class Watch(Struct, frozen=True, tag="watch"):
    """Show me this box from now on; replaces the watch before it."""

    id: WatchId
    box: tuple[Degrees, Degrees, Degrees, Degrees]
    """West, south, east, north in degrees; longitudes may run past 180."""
    zoom: Annotated[float, Meta(ge=0, le=24)] = 14.0
    """The map's zoom; wide views will get clusters by it."""
    kinds: Annotated[tuple[KindName, ...], Meta(max_length=16)] = ()
    availability: Literal["available", "any"] = "available"
    min_battery_pct: Annotated[int, Meta(ge=0, le=100)] = 0

    def area(self) -> BoundingBox:
        """The box to watch. Raises ValueError when it is none."""
        return boxes.from_degrees(*self.box)

    def wanted(self, operator_id: int) -> MapFilter:
        """The devices to show, of this operator."""
        return MapFilter(
            kinds=kinds_mask(Kind[name.upper()] for name in set(self.kinds)),
            only_available=self.availability == "available",
            min_battery_pct=self.min_battery_pct,
            operator_id=operator_id,
        )


class Unwatch(Struct, frozen=True, tag="unwatch"):
    """Show me nothing until the next watch."""


class Snapshot(Struct, frozen=True, tag="snapshot"):
    """Forget everything; these are the devices (the first of them, when `more`)."""

    id: int
    cursor: str
    devices: list[Raw]
    count: int
    more: bool
    stale: bool


class Changes(Struct, frozen=True, tag="changes"):
    """What became different; afterwards the client has `count` devices."""

    id: int
    cursor: str
    shown: list[Raw]
    moved: list[Raw]
    vanished: list[str]
    count: int
    more: bool
    stale: bool


class Refused(Struct, frozen=True, tag="refused", omit_defaults=True):
    """The frame named by `id` (null when it had none) has no effect, for this reason.

    Only `view_filled_up` speaks of the running watch: it is ended, and its devices are to be forgotten.
    """

    id: int | None
    reason: Literal["bad_frame", "bad_box", "too_many_devices", "too_fast", "view_filled_up", "not_allowed"]
    detail: str


class BadFrame(Exception):
    """The client's frame is none of the protocol's. Carries the reason as a sentence."""


ClientFrame = Hello | Watch | Unwatch

_decoder: msgspec.json.Decoder[ClientFrame] = msgspec.json.Decoder(ClientFrame)
_encode = msgspec.json.Encoder().encode


def decode(frame: bytes) -> ClientFrame:
    """A client's frame. Raises BadFrame for anything else."""
    try:
        return _decoder.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrame(printable(str(error))) from error


def printable(text: str) -> str:
    """The text without control characters, cut to what a log line or a page can bear."""
    return "".join(c if c.isprintable() else "?" for c in text[:MAX_DETAIL_CHARS])


def encode_snapshot(
    watch_id: int, parcel: Parcel, *, cursor: str, count: int, more: bool, stale: bool
) -> bytes:
    """A snapshot frame; a parcel's arrivals are its devices."""
    devices = [map_device_json(entry) for entry in parcel.shown]
    return _encode(Snapshot(watch_id, cursor, devices, count, more, stale))


def encode_changes(
    watch_id: int, parcel: Parcel, *, cursor: str, count: int, more: bool, stale: bool
) -> bytes:
    """A changes frame."""
    shown = [map_device_json(entry) for entry in parcel.shown]
    moved = [map_device_json(entry) for entry in parcel.moved]
    return _encode(Changes(watch_id, cursor, shown, moved, parcel.vanished, count, more, stale))


def encode_refused(refused: Refused) -> bytes:
    """A refused frame."""
    return _encode(refused)
