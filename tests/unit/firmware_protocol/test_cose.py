"""Sealed frames are COSE_Mac0 for an independent library too, and only the very same bytes open."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycose.algorithms import HMAC256, HMAC384
from pycose.headers import IV, KID, Algorithm

from firmware_protocol.cose import open_sealed, seal
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.errors import BadSeal, MalformedFrame
from firmware_protocol.limits import MAX_SEALED_BYTES
from tests.unit.firmware_protocol.independent_cose import opened_elsewhere, sealed_elsewhere

KEY, OTHER = DeviceKey(7, b"k" * 32), DeviceKey(8, b"o" * 32)
AAD = b"lk/v1/0f/bike-000123/cmd"

keys = st.builds(DeviceKey, st.integers(1, 2**32 - 1), st.binary(min_size=32, max_size=32))
payloads = st.binary(max_size=400)


@given(keys, payloads, st.binary(max_size=80))
def test_both_libraries_make_the_same_bytes_and_open_each_others(
    key: DeviceKey, payload: bytes, aad: bytes
) -> None:
    ours, theirs = seal(payload, key=key, aad=aad), sealed_elsewhere(payload, key, aad)
    assert ours == theirs
    assert open_sealed(theirs, keys=[key], aad=aad) == payload
    assert opened_elsewhere(ours, key, aad) == payload


def test_every_flipped_bit_and_every_cut_is_refused() -> None:
    sealed = seal(b"\xa1\x03\x01" * 20, key=KEY, aad=AAD)
    # The other key has a number one bit away: a changed kid must not find a key that opens.
    held = [KEY, DeviceKey(6, b"n" * 32), DeviceKey(5, b"m" * 32)]
    for bit in range(len(sealed) * 8):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises((MalformedFrame, BadSeal)):
            open_sealed(bytes(flipped), keys=held, aad=AAD)
    for cut in range(len(sealed)):
        with pytest.raises(MalformedFrame):
            open_sealed(sealed[:cut], keys=held, aad=AAD)
    with pytest.raises(MalformedFrame):
        open_sealed(sealed + b"\x00", keys=held, aad=AAD)


def test_another_key_another_number_and_another_topic_do_not_open() -> None:
    sealed = seal(b"payload", key=KEY, aad=AAD)
    for held, aad, reason in (
        ([], AAD, "unknown_key"),
        ([OTHER], AAD, "unknown_key"),
        ([DeviceKey(7, OTHER.secret)], AAD, "wrong_tag"),
        ([KEY], AAD.replace(b"123", b"124"), "wrong_tag"),
        ([KEY], AAD.replace(b"cmd", b"ack"), "wrong_tag"),
        ([KEY], b"", "wrong_tag"),
    ):
        with pytest.raises(BadSeal) as caught:
            open_sealed(sealed, keys=held, aad=aad)
        assert caught.value.reason == reason


def test_during_a_rotation_both_keys_open_and_a_number_twice_tries_both() -> None:
    for key in (KEY, OTHER):
        assert open_sealed(seal(b"p", key=key, aad=AAD), keys=[OTHER, KEY], aad=AAD) == b"p"
    twice = [DeviceKey(7, OTHER.secret), KEY]
    assert open_sealed(seal(b"p", key=KEY, aad=AAD), keys=twice, aad=AAD) == b"p"


def test_other_headers_are_malformed_even_when_the_key_is_right() -> None:
    kid = KEY.number.to_bytes(4, "big")
    others: list[dict[str, dict[Any, Any]]] = [
        {"phdr": {Algorithm: HMAC384}},
        {"phdr": {Algorithm: HMAC256, KID: kid}, "uhdr": {}},
        {"uhdr": {}},
        {"uhdr": {KID: b"\x07"}},
        {"uhdr": {KID: kid, IV: b"123"}},
    ]
    for headers in others:
        with pytest.raises(MalformedFrame):
            open_sealed(sealed_elsewhere(b"p", KEY, AAD, **headers), keys=[KEY], aad=AAD)


def test_other_forms_of_the_same_frame_are_malformed() -> None:
    sealed = seal(b"payload", key=KEY, aad=AAD)
    untagged = sealed[1:]
    longer_tag = b"\xd8\x11" + sealed[1:]
    indefinite = b"\xd1\x9f" + sealed[2:] + b"\xff"
    longer_length = sealed.replace(b"\x47payload", b"\x58\x07payload")
    in_text = sealed.replace(b"\x47payload", b"\x67payload")
    for frame in (untagged, longer_tag, indefinite, longer_length, in_text, b""):
        with pytest.raises(MalformedFrame) as caught:
            open_sealed(frame, keys=[KEY], aad=AAD)
        assert caught.value.at.startswith("byte ")


def test_size_is_bounded_both_ways() -> None:
    room = MAX_SEALED_BYTES - len(seal(b"x" * 1000, key=KEY, aad=AAD)) + 1000
    longest = seal(b"x" * room, key=KEY, aad=AAD)
    assert len(longest) == MAX_SEALED_BYTES
    assert open_sealed(longest, keys=[KEY], aad=AAD) == b"x" * room
    with pytest.raises(ValueError):
        seal(b"x" * (room + 1), key=KEY, aad=AAD)
    with pytest.raises(MalformedFrame, match="longer than"):
        open_sealed(sealed_elsewhere(b"x" * (room + 1), KEY, AAD), keys=[KEY], aad=AAD)


def mutated(frame: bytes, chance: Random) -> bytes:
    """One to three changes: a byte, a piece cut out, a piece doubled, a piece from elsewhere."""
    changed = bytearray(frame)
    for _ in range(chance.randrange(1, 4)):
        at, length = chance.randrange(len(changed)), chance.randrange(1, 9)
        match chance.randrange(4):
            case 0:
                changed[at] ^= chance.randrange(1, 256)
            case 1 if len(changed) > length + 1:
                del changed[at : at + length]
            case 2:
                changed[at:at] = changed[at : at + length]
            case _:
                changed[at : at + length] = chance.randbytes(length)
    return bytes(changed)


def test_of_a_thousand_mutated_replays_none_is_accepted() -> None:
    chance = Random(9)
    sealed = seal(chance.randbytes(60), key=KEY, aad=AAD)
    accepted = 0
    for _ in range(1000):
        frame = mutated(sealed, chance)
        try:
            open_sealed(frame, keys=[KEY, OTHER], aad=AAD)
            accepted += frame != sealed
        except (MalformedFrame, BadSeal):
            pass
    assert accepted == 0
