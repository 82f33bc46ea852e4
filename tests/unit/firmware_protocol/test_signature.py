"""Signed frames say to both ends what was signed, to nobody else anything, and are COSE and CWT to a stranger."""

from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol import signature, topics
from firmware_protocol.claims import Claim, write_claims
from firmware_protocol.commands import Ack, AckResult, Command, CommandKind
from firmware_protocol.cose import seal
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.errors import BadSeal, MalformedFrame
from firmware_protocol.limits import MAX_SEALED_BYTES, MAX_SETTINGS
from firmware_protocol.messages import DeviceId, Welcome
from tests.unit.firmware_protocol.independent_cose import opened_elsewhere, sealed_elsewhere
from tests.unit.firmware_protocol.strategies import acks, commands, welcomes

DEVICE, OTHER_DEVICE = DeviceId("bike-000123"), DeviceId("bike-000124")
KEY, NEXT_KEY = DeviceKey(7, b"k" * 32), DeviceKey(8, b"n" * 32)

Signer = Callable[..., bytes]
Verifier = Callable[..., Any]
BOTH_WAYS: dict[str, tuple[Signer, Verifier]] = {
    "command": (signature.sign_command, signature.verify_command),
    "welcome": (signature.sign_welcome, signature.verify_welcome),
    "ack": (signature.sign_ack, signature.verify_ack),
}
TOPICS = {
    "command": topics.command_topic,
    "welcome": topics.welcome_topic,
    "ack": topics.ack_topic,
}
COMMAND = Command(b"c" * 16, 1_790_000_000, 43, 1_790_000_010, CommandKind.UNLOCK)
MESSAGES: dict[str, Any] = {
    "command": COMMAND,
    "welcome": Welcome(11, 1_790_000_000, 1_790_000_000_412, 8_250),
    "ack": Ack(b"c" * 16, AckResult.REFUSED, 1_790_000_000, 43, reason="old_fence"),
}
any_message = (
    st.tuples(st.just("command"), commands)
    | st.tuples(st.just("welcome"), welcomes)
    | st.tuples(st.just("ack"), acks)
)


def sign(name: str, message: Any, key: DeviceKey = KEY, device_id: DeviceId = DEVICE) -> bytes:
    return BOTH_WAYS[name][0](message, device_id=device_id, key=key)


def verify(name: str, frame: bytes, *keys: DeviceKey, device_id: DeviceId = DEVICE) -> Any:
    return BOTH_WAYS[name][1](frame, device_id=device_id, keys=keys or (KEY,))


def sealed_claims(claims: dict[int, Claim], *, device_id: DeviceId = DEVICE) -> bytes:
    """A command's frame with whatever claims, under the right key for the right topic."""
    return seal(write_claims(claims), key=KEY, aad=topics.command_topic(device_id).encode())


@given(any_message)
def test_what_is_signed_is_verified_and_a_stranger_agrees(named: tuple[str, Any]) -> None:
    name, message = named
    frame = sign(name, message)
    assert len(frame) <= MAX_SEALED_BYTES
    assert verify(name, frame) == message
    aad = TOPICS[name](DEVICE).encode()
    payload = opened_elsewhere(frame, KEY, aad)
    assert payload is not None
    assert cbor2.dumps(cbor2.loads(payload), canonical=True) == payload, "one form"
    assert verify(name, sealed_elsewhere(payload, KEY, aad)) == message


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_a_frame_opens_for_one_device_on_one_channel_under_its_key_only(name: str) -> None:
    frame = sign(name, MESSAGES[name])
    with pytest.raises(BadSeal, match="wrong_tag"):
        verify(name, frame, device_id=OTHER_DEVICE)
    for wrong in (NEXT_KEY, DeviceKey(7, NEXT_KEY.secret)):
        with pytest.raises(BadSeal):
            verify(name, frame, wrong)
    for other in BOTH_WAYS.keys() - {name}:
        with pytest.raises(BadSeal, match="wrong_tag"):
            verify(other, frame)
    assert verify(name, sign(name, MESSAGES[name], NEXT_KEY), NEXT_KEY, KEY) == MESSAGES[name]


def test_a_right_seal_over_the_name_of_another_device_is_no_order() -> None:
    claims: dict[int, Claim] = {3: OTHER_DEVICE, 4: 5, 7: b"c" * 16, -70001: 1, -70002: 1, -70003: 1}
    with pytest.raises(BadSeal, match="wrong_device"):
        verify("command", sealed_claims(claims))
    with pytest.raises(BadSeal, match="wrong_device"):
        verify("command", sealed_claims({number: claim for number, claim in claims.items() if number != 3}))


def test_claims_are_those_of_a_cwt() -> None:
    payload = opened_elsewhere(sign("command", COMMAND), KEY, topics.command_topic(DEVICE).encode())
    assert payload is not None
    assert cbor2.loads(payload) == {
        3: DEVICE,
        4: 1_790_000_010,
        7: b"c" * 16,
        -70001: 1_790_000_000,
        -70002: 43,
        -70003: 1,
    }


def test_unknown_claims_are_ignored() -> None:
    claims: dict[int, Claim] = {
        3: DEVICE,
        4: 5,
        7: b"c" * 16,
        -70001: 1,
        -70002: 1,
        -70003: 5,
        -79999: [1, {"a": None}],
    }
    assert verify("command", sealed_claims(claims)) == Command(b"c" * 16, 1, 1, 5, CommandKind.LOCATE)


@pytest.mark.parametrize(
    "changed",
    [
        {4: None},
        {4: "soon"},
        {4: 0},
        {4: True},
        {7: b"c" * 15},
        {7: "c" * 16},
        {-70001: 0},
        {-70002: 2**63},
        {-70003: 99},
        {-70004: 97},
        {-70005: {"Upper": 1}},
        {-70005: {7: 1}},
        {-70005: {"a": [1]}},
        {-70005: {"a": "x" * 65}},
        {-70005: {f"s{number}": number for number in range(MAX_SETTINGS + 1)}},
    ],
)
def test_claims_that_say_nothing_are_malformed(changed: dict[int, Claim]) -> None:
    claims: dict[int, Claim] = {3: DEVICE, 4: 5, 7: b"c" * 16, -70001: 1, -70002: 1, -70003: 7}
    with pytest.raises(MalformedFrame):
        verify("command", sealed_claims(claims | changed))


@given(st.binary(max_size=120), st.sampled_from(sorted(BOTH_WAYS)))
def test_any_payload_under_a_right_seal_is_a_message_or_malformed(payload: bytes, name: str) -> None:
    frame = seal(payload, key=KEY, aad=TOPICS[name](DEVICE).encode())
    with pytest.raises((MalformedFrame, BadSeal)):
        verify(name, frame)


def test_every_flipped_bit_of_every_kind_is_refused() -> None:
    for name, message in MESSAGES.items():
        frame = sign(name, message)
        for bit in range(len(frame) * 8):
            flipped = bytearray(frame)
            flipped[bit // 8] ^= 1 << bit % 8
            with pytest.raises((MalformedFrame, BadSeal)):
                verify(name, bytes(flipped), KEY, NEXT_KEY)
