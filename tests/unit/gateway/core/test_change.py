"""What a map must hear, from before and after."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from firmware_protocol.messages import DeviceId
from gateway.core.change import (
    E7_PER_M,
    Moved,
    Shown,
    Vanished,
    change_between,
    charge_stands,
    noise_e7,
)
from gateway.core.live_state import MapEntry
from tests.support.fakes.samples import entry

A = DeviceId("bike-a")
HERE, THERE, FAR = entry(A), entry(A, lat_e7=1_000), entry(A, lat_e7=10_000_000)


def in_view(one: MapEntry) -> bool:
    return one.available and one.lat_e7 < 5_000_000


def test_coming_staying_and_leaving() -> None:
    assert change_between(None, HERE, in_view) == Shown(HERE)
    assert change_between(FAR, HERE, in_view) == Shown(HERE)
    assert change_between(HERE, THERE, in_view) == Moved(THERE)
    assert change_between(HERE, FAR, in_view) == Vanished(A, HERE.public_id)
    assert change_between(HERE, None, in_view) == Vanished(A, HERE.public_id)


def test_becoming_unavailable_is_leaving() -> None:
    taken = structs.replace(HERE, available=False, reasons=((6, 1),))
    assert change_between(HERE, taken, in_view) == Vanished(A, HERE.public_id)
    assert change_between(taken, HERE, in_view) == Shown(HERE)


def test_what_nobody_in_view_sees_is_not_said() -> None:
    assert change_between(None, None, in_view) is None
    assert change_between(None, FAR, in_view) is None
    assert change_between(FAR, None, in_view) is None
    assert change_between(HERE, entry(A), in_view) is None


def test_a_rotated_public_id_cannot_be_linked_to_the_old_one() -> None:
    rotated = structs.replace(HERE, public_id="other")
    assert change_between(HERE, rotated, in_view) == (Vanished(A, HERE.public_id), Shown(rotated))


@given(st.lists(st.sampled_from([None, HERE, THERE, FAR]), max_size=20))
def test_a_viewer_who_hears_every_change_sees_what_is(walk: list[MapEntry | None]) -> None:
    seen: dict[str, MapEntry] = {}
    before: MapEntry | None = None
    for after in walk:
        match change_between(before, after, in_view):
            case Shown(entry=shown):
                assert shown.public_id not in seen
                seen[shown.public_id] = shown
            case Moved(entry=moved):
                assert moved.public_id in seen
                seen[moved.public_id] = moved
            case Vanished(public_id=gone):
                del seen[gone]
        before = after
    assert list(seen.values()) == ([before] if before is not None and in_view(before) else [])


def test_noise_follows_the_accuracy_within_bounds() -> None:
    assert noise_e7(0.0, None) == noise_e7(5.0, False) == 5 * E7_PER_M
    assert noise_e7(12.5, None) == 12 * E7_PER_M
    assert noise_e7(3_000.0, None) == 25 * E7_PER_M
    assert noise_e7(3_000.0, True) == 5 * E7_PER_M


def test_charge_is_shown_in_steps() -> None:
    assert charge_stands(50, 54)
    assert charge_stands(50, 46)
    assert not charge_stands(50, 55)
    assert not charge_stands(50, 45)
    assert charge_stands(None, None)
    assert not charge_stands(None, 0)
    assert not charge_stands(0, None)
