"""Signed frames: latchkey_commands.h takes and refuses what `signature` takes and refuses, and signs the same acks."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from firmware_protocol import signature, topics
from firmware_protocol.claims import write_claims
from firmware_protocol.commands import Ack, AckResult, Command
from firmware_protocol.cose import open_sealed, seal
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.errors import BadSeal, MalformedFrame
from firmware_protocol.messages import DeviceId, Welcome
from tests.unit.firmware_protocol import strategies
from tests.unit.firmware_protocol.c.compiled import DeviceInC, ack_tokens
from tests.vectors import regenerate

OK, NO_ROOM, BAD_VALUE, MALFORMED, UNKNOWN_KEY, BAD_SEAL, WRONG_DEVICE = range(7)
STATUS_OF = {"unknown_key": UNKNOWN_KEY, "wrong_tag": BAD_SEAL, "wrong_device": WRONG_DEVICE}
SAY_NOTHING, SAY_AGAIN, REFUSE, OBEY = range(4)

VECTORS = json.loads((regenerate.FOLDER / "signed_frames.json").read_text())
KEYS = {
    int(number): DeviceKey(int(number), bytes.fromhex(secret)) for number, secret in VECTORS["keys"].items()
}
DEVICE = DeviceId("bike-000123")
KEY = KEYS[7]
TOPIC = topics.command_topic(DEVICE).encode()


def chosen(part: str, *messages: str) -> list[Any]:
    return [pytest.param(v, id=v["name"]) for v in VECTORS[part] if v["message"] in messages]


def become(device: DeviceInC, vector: dict[str, Any]) -> None:
    device.become(vector["device_id"], [KEYS[number] for number in vector["keys"]])


def read_setting(value: str) -> bool | int | str:
    if value in ("true", "false"):
        return value == "true"
    return bytes.fromhex(value[1:]).decode() if value.startswith("'") else int(value)


def read_command(device: DeviceInC, frame: bytes) -> Command | int:
    """The command, or why not."""
    status, *words = device.ask("command", f"x{frame.hex()}")
    if int(status):
        assert not words
        return int(status)
    command_id, boot, fence, not_after_s, kind, slot = words[:6]
    settings = dict(word.split("=", 1) for word in words[6:])
    fields = {
        "command_id": bytes.fromhex(command_id),
        "boot": int(boot),
        "fence": int(fence),
        "not_after_s": int(not_after_s),
        "kind": int(kind),
        "slot": int(slot),
        "settings": {name: read_setting(value) for name, value in settings.items()},
    }
    return msgspec.convert(fields, Command)


def read_welcome(device: DeviceInC, frame: bytes) -> Welcome | int:
    """The welcome, or why not."""
    status, *words = device.ask("welcome", f"x{frame.hex()}")
    if int(status):
        return int(status)
    return Welcome(**{name: int(value) for name, value in (word.split("=") for word in words)})


def verified(frame: bytes) -> Command | int:
    """What `signature` says, in the words of C."""
    try:
        return signature.verify_command(frame, device_id=DEVICE, keys=[KEY])
    except MalformedFrame:
        return MALFORMED
    except BadSeal as bad:
        return STATUS_OF[bad.reason]


def fields_of(message: Command | Welcome) -> dict[str, Any]:
    values = {name: getattr(message, name) for name in message.__struct_fields__}
    shown = {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}
    return {name: value for name, value in shown.items() if value not in (None, {})}


@pytest.mark.parametrize("vector", chosen("valid", "command", "welcome"))
def test_golden_frames_are_taken_as_they_say(device: DeviceInC, vector: dict[str, Any]) -> None:
    become(device, vector)
    read = read_command if vector["message"] == "command" else read_welcome
    message = read(device, bytes.fromhex(vector["hex"]))
    assert not isinstance(message, int)
    assert fields_of(message) == vector["decoded"]


@pytest.mark.parametrize("vector", chosen("valid", "ack"))
def test_golden_acks_are_signed_byte_by_byte(device: DeviceInC, vector: dict[str, Any]) -> None:
    become(device, vector)
    decoded = {**vector["decoded"], "command_id": bytes.fromhex(vector["decoded"]["command_id"])}
    ack = msgspec.convert(decoded, Ack)
    assert device.written("ack", ack_tokens(ack)) == (OK, bytes.fromhex(vector["hex"]))


@pytest.mark.parametrize("vector", chosen("refused", "command", "welcome"))
def test_golden_refusals_are_refused_for_the_reason_they_say(
    device: DeviceInC, vector: dict[str, Any]
) -> None:
    become(device, vector)
    read = read_command if vector["message"] == "command" else read_welcome
    expected = MALFORMED if vector["refused"] == "malformed" else STATUS_OF[vector["reason"]]
    assert read(device, bytes.fromhex(vector["hex"])) == expected


@pytest.mark.parametrize("vector", [p for p in chosen("valid", "command") if "judged" in p.values[0]])
def test_golden_commands_are_judged_as_they_say(device: DeviceInC, vector: dict[str, Any]) -> None:
    for held in vector["judged"]:
        become(device, vector)
        device.ask("stands", held["boot"], held["server_ms"] or 0, held["taken_fence"])
        status, verdict, *answer = device.ask("obey", 0, f"x{vector['hex']}")
        said = None
        if answer:
            frame = bytes.fromhex(answer[1])
            said = signature.verify_ack(frame, device_id=vector["device_id"], keys=list(KEYS.values()))
        expected = {"obey": OBEY, "not_yet": SAY_NOTHING}.get(held["verdict"], REFUSE)
        assert (int(status), int(verdict)) == (OK, expected), held["why"]
        assert (said is None) == (expected == SAY_NOTHING)
        assert said is None or said.reason == (None if expected == OBEY else held["verdict"])


@given(command=strategies.commands)
def test_any_command_is_read_as_it_was_signed(device: DeviceInC, command: Command) -> None:
    device.become(DEVICE, [KEY])
    frame = signature.sign_command(command, device_id=DEVICE, key=KEY)
    assert read_command(device, frame) == command


@given(welcome=strategies.welcomes)
def test_any_welcome_is_read_as_it_was_signed(device: DeviceInC, welcome: Welcome) -> None:
    device.become(DEVICE, [KEY])
    frame = signature.sign_welcome(welcome, device_id=DEVICE, key=KEY)
    assert read_welcome(device, frame) == welcome


@given(ack=strategies.acks)
def test_any_ack_is_signed_as_python_signs_it(device: DeviceInC, ack: Ack) -> None:
    device.become(DEVICE, [KEYS[7], KEYS[8]])
    assert device.written("ack", ack_tokens(ack)) == (
        OK,
        signature.sign_ack(ack, device_id=DEVICE, key=KEYS[8]),
    )


LONGEST = Ack(b"\xff" * 16, AckResult.FAILED, 2**63 - 1, 2**63 - 1, 96, "r" * 24, -(2**63))


def test_the_longest_ack_fits_what_the_header_says(device: DeviceInC) -> None:
    name = DeviceId("d" * 32)
    device.become(name, [KEY])
    status, frame = device.written("ack", ack_tokens(LONGEST), room=256)
    assert (status, frame) == (OK, signature.sign_ack(LONGEST, device_id=name, key=KEY))
    for room in range(0, len(frame), 7):
        assert device.written("ack", ack_tokens(LONGEST), room=room) == (NO_ROOM, b"")


@pytest.mark.parametrize(
    "tokens", ["result=0", "result=5", "result=1 slot=97", f"result=1 boot={2**63}", "result=3 reason=412d42"]
)
def test_an_ack_that_the_gateway_would_refuse_is_not_signed(device: DeviceInC, tokens: str) -> None:
    device.become(DEVICE, [KEY])
    assert device.written("ack", tokens.split()) == (BAD_VALUE, b"")


def test_without_a_key_nothing_is_signed_or_taken(device: DeviceInC) -> None:
    device.become(DEVICE, [])
    assert device.written("ack", ["result=1"]) == (UNKNOWN_KEY, b"")
    frame = bytes.fromhex(VECTORS["valid"][0]["hex"])
    assert read_command(device, frame) == UNKNOWN_KEY


def test_every_flipped_bit_and_every_cut_is_refused(device: DeviceInC) -> None:
    device.become(DEVICE, [KEY])
    frame = bytes.fromhex(VECTORS["valid"][0]["hex"])
    assert isinstance(read_command(device, frame), Command)
    for at in range(len(frame)):
        assert read_command(device, frame[:at]) == MALFORMED
        for bit in range(8):
            damaged = frame[:at] + bytes((frame[at] ^ 1 << bit,)) + frame[at + 1 :]
            assert read_command(device, damaged) == verified(damaged) != OK


def is_utf8_fault(payload: bytes) -> bool:
    try:
        signature.verify_command(seal(payload, key=KEY, aad=TOPIC), device_id=DEVICE, keys=[KEY])
    except MalformedFrame as fault:
        return "UTF-8" in fault.reason
    except BadSeal:
        return False
    return False


@given(data=st.data(), command=strategies.commands)
def test_damaged_claims_under_a_right_seal_are_taken_alike(
    device: DeviceInC, data: st.DataObject, command: Command
) -> None:
    device.become(DEVICE, [KEY])
    whole = signature.sign_command(command, device_id=DEVICE, key=KEY)
    payload = bytearray(open_sealed(whole, keys=[KEY], aad=TOPIC))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(payload) - 1))
        piece = data.draw(st.binary(max_size=3))
        payload[at : at + data.draw(st.integers(0, 3))] = piece
        assume(payload)
    # Text that nobody reads is not looked at in C.
    assume(not is_utf8_fault(bytes(payload)))
    frame = seal(bytes(payload), key=KEY, aad=TOPIC)
    read, expected = read_command(device, frame), verified(frame)
    if isinstance(read, Command) or isinstance(expected, Command):
        assert read == expected


unknown = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.text(max_size=30)
    | st.binary(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(-(2**64), 2**64 - 1) | st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(
    command=strategies.commands,
    more=st.dictionaries(st.integers(-(2**64), -80_000) | st.integers(8, 2**64 - 1), unknown, max_size=3),
)
def test_claims_of_later_versions_are_stepped_over(
    device: DeviceInC, command: Command, more: dict[int, Any]
) -> None:
    device.become(DEVICE, [KEY])
    claims: dict[int, Any] = {signature.AUDIENCE: str(DEVICE), **more}
    for name, number in signature.COMMAND_CLAIMS.items():
        if (value := getattr(command, name)) or name not in ("slot", "settings"):
            claims[number] = value
    payload = write_claims(claims)
    assume(len(payload) < 1900)
    frame = seal(payload, key=KEY, aad=TOPIC)
    # Too deep for one is too deep for the other.
    assert read_command(device, frame) == verified(frame)
