"""One device cannot take the place of all others."""

from firmware_protocol.messages import DeviceId
from gateway.mqtt.talk_quota import MOST, WINDOW_MS, TalkQuota

LOUD, CALM = DeviceId("loud"), DeviceId("calm")


def test_a_loud_device_is_held_to_its_bound_and_nobody_else() -> None:
    quota = TalkQuota()
    assert sum(quota.allows(LOUD, 1) for _ in range(3 * MOST)) == MOST
    assert quota.allows(CALM, 1)


def test_the_next_window_begins_anew() -> None:
    quota = TalkQuota()
    for now_ms in (0, WINDOW_MS - 1, WINDOW_MS):
        last = [quota.allows(LOUD, now_ms) for _ in range(MOST)][-1]
        assert last is (now_ms != WINDOW_MS - 1)
