"""The rights of a device are its six topics."""

from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import topic_prefix
from gateway.core.broker_rights import Action, may

NAMES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,31}\Z").filter(lambda name: not name.startswith("lk-"))
CHANNELS = ("hello", "report", "ack", "welcome", "receipt", "cmd")


@given(NAMES, NAMES, st.sampled_from(CHANNELS), st.sampled_from(Action))
def test_only_ones_own_and_only_in_its_direction(name: str, whose: str, channel: str, action: Action) -> None:
    topic = f"{topic_prefix(DeviceId(whose)).rstrip('/')}/{channel}"
    up = channel in ("hello", "report", "ack")
    assert may(name, action, topic) == (name == whose and up == (action is Action.PUBLISH))


@given(NAMES, st.text(max_size=60), st.sampled_from(Action))
def test_no_other_text_is_a_topic_of_ones_own(name: str, topic: str, action: Action) -> None:
    assert not may(name, action, topic)


@given(st.text(max_size=40), st.sampled_from(Action))
def test_a_name_that_no_device_can_have_has_no_rights(name: str, action: Action) -> None:
    assert not may(f"lk-{name}", action, f"lk/v1/00/lk-{name}/report")
    assert not may(f"{name}/x", action, f"lk/v1/00/{name}/x/report")
