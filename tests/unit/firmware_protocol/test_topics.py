"""Topics built are topics parsed; everything else is refused with its reason."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol import topics
from firmware_protocol.errors import MalformedTopic
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import Address, Channel, parse_topic, shard_of

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "topics.json").read_text())
BUILDERS = {
    Channel.HELLO: topics.hello_topic,
    Channel.REPORT: topics.report_topic,
    Channel.ACK: topics.ack_topic,
    Channel.WELCOME: topics.welcome_topic,
    Channel.RECEIPT: topics.receipt_topic,
    Channel.COMMAND: topics.command_topic,
}
device_ids = (
    st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,31}\Z").filter(lambda text: not text.startswith("lk-"))
).map(DeviceId)


def matches(subscription: str, topic: str) -> bool:
    pairs = zip(subscription.split("/"), topic.split("/"), strict=True)
    return all(wanted in ("+", level) for wanted, level in pairs)


@given(device_ids, st.sampled_from(Channel))
def test_parse_reverses_build(device_id: DeviceId, channel: Channel) -> None:
    topic = BUILDERS[channel](device_id)
    assert topic.startswith(topics.topic_prefix(device_id))
    assert parse_topic(topic) == Address(shard_of(device_id), device_id, channel)


@given(device_ids)
def test_exactly_one_lane_hears_a_device(device_id: DeviceId) -> None:
    for build_filter, build in (
        (topics.hello_filter, topics.hello_topic),
        (topics.report_filter, topics.report_topic),
        (topics.ack_filter, topics.ack_topic),
    ):
        lanes = [lane for lane in range(topics.SHARDS) if matches(build_filter(lane), build(device_id))]
        assert lanes == [shard_of(device_id)]


@given(st.text(max_size=60) | st.from_regex(r"lk/v1/[0-9a-f]{2}/[a-z-]{0,40}/[a-z]{0,8}"))
def test_any_text_is_a_topic_or_malformed(text: str) -> None:
    try:
        address = parse_topic(text)
    except MalformedTopic:
        return
    assert 0 <= address.shard < topics.SHARDS
    assert topics.checked_device_id(address.device_id) == address.device_id


def test_upward_channels_are_those_the_gateway_subscribes_to() -> None:
    assert {Channel.HELLO, Channel.REPORT, Channel.ACK} == topics.UPWARD


@pytest.mark.parametrize("text", ["", "lk-gw-07", "a b", "a/b", "+", "#", "é", "a\n", ".", "..", "x" * 33])
def test_bad_ids_get_no_topics(text: str) -> None:
    with pytest.raises(MalformedTopic):
        topics.report_topic(DeviceId(text))


def test_golden_shards() -> None:
    # The published check value of CRC-32/ISO-HDLC (IEEE) is cbf43926 for these nine digits.
    assert shard_of(DeviceId("123456789")) == 0x6
    for vector in VECTORS["devices"]:
        device_id = DeviceId(vector["device_id"])
        assert f"{shard_of(device_id):02x}" == vector["shard"]
        assert int(vector["crc32"], 16) & 15 == shard_of(device_id)
        assert topics.report_topic(device_id) == vector["report_topic"]


@pytest.mark.parametrize("vector", VECTORS["malformed"], ids=lambda vector: vector["why"])
def test_golden_malformed_topics(vector: dict[str, str]) -> None:
    with pytest.raises(MalformedTopic) as caught:
        parse_topic(vector["topic"])
    assert caught.value.reason == vector["reason"]
