"""A device in the words of the map."""

from msgspec.json import decode

from api.live.map_device import MapDevice, map_device, map_device_json
from gateway.core.device import Kind
from tests.unit.api.live.entries import entry


def test_a_device_is_shown_by_its_public_id_and_never_by_its_device_id() -> None:
    shown = bytes(map_device_json(entry(7)))
    assert b'"d7"' not in shown
    assert decode(shown, type=MapDevice) == map_device(entry(7))


def test_reasons_have_names_and_a_since() -> None:
    assert decode(bytes(map_device_json(entry(7, available=False, kind=Kind.CABINET)))) == {
        "id": "p7",
        "marker": 100_000_007,
        "kind": "cabinet",
        "lat": 31.2304,
        "lon": 121.4737,
        "available": False,
        "reasons": [{"reason": "low_battery", "since": 1_759_999_000_000}],
        "battery_pct": 80,
        "units": 0,
        "spaces": 0,
        "at": 1_760_000_000_000,
    }


def test_equal_entries_share_one_encoding() -> None:
    assert map_device_json(entry(8)) is map_device_json(entry(8))
