"""Silence makes a device quiet, then lost; nothing else changes."""

from msgspec import structs

from firmware_protocol.messages import DeviceId
from gateway.core.live_state import LiveState, Presence, Reason
from gateway.core.silence import hear_nothing
from tests.support.fakes.samples import BIKE, state

BEFORE = state(DeviceId("bike-a"), 3)
HEARD_MS = BEFORE.heard_at_ms


def silent(before: LiveState, after_s: int) -> LiveState:
    advanced = hear_nothing(before, BIKE, HEARD_MS + after_s * 1000)
    assert advanced is not None
    assert advanced.announce is (advanced.after.entry is not before.entry)
    return advanced.after


def test_nothing_changes_before_its_time() -> None:
    assert hear_nothing(BEFORE, BIKE, HEARD_MS + 149_999) is None
    quiet = silent(BEFORE, 150)
    assert hear_nothing(quiet, BIKE, HEARD_MS + 599_999) is None


def test_a_quiet_device_stays_on_the_map_with_its_reason() -> None:
    quiet = silent(BEFORE, 151)
    assert (quiet.revision, quiet.presence) == (4, Presence.QUIET)
    assert quiet.reasons == ((Reason.QUIET, HEARD_MS + 150_000),)
    assert quiet.entry is not None
    assert (quiet.entry.available, quiet.entry.units, quiet.entry.reasons) == (False, 0, quiet.reasons)
    assert (quiet.boot, quiet.seq, quiet.frame) == (BEFORE.boot, BEFORE.seq, BEFORE.frame)


def test_a_lost_device_leaves_the_map_and_stays_lost() -> None:
    lost = silent(silent(BEFORE, 151), 600)
    assert lost.presence is Presence.LOST
    assert lost.entry is None
    assert lost.reasons == ((Reason.LOST, HEARD_MS + 600_000),)
    assert hear_nothing(lost, BIKE, HEARD_MS + 10**9) is None
    assert structs.replace(silent(BEFORE, 600), revision=lost.revision) == lost


def test_a_device_that_is_not_on_the_map_is_not_announced() -> None:
    unmapped = state(DeviceId("bike-a"), 3, mapped=False)
    advanced = hear_nothing(unmapped, BIKE, HEARD_MS + 200_000)
    assert advanced is not None
    assert not advanced.announce
