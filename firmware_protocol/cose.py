"""Seals a payload under a device key, and opens what was sealed: COSE_Mac0 with HMAC 256/256, in one form only."""

import hmac
from collections.abc import Sequence
from typing import Final

from firmware_protocol.cbor_heads import BYTES, read_head, write_head
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.errors import BadSeal, MalformedFrame
from firmware_protocol.limits import MAX_SEALED_BYTES

# RFC 9052, 3.1 and 6.2: tag 17, an array of four: the protected header {1: 5} ("HMAC 256/256"), the unprotected one
# {4: kid} with a kid of four bytes, the payload, the tag.
_PROTECTED: Final = bytes.fromhex("43a10105")
_BEGIN: Final = bytes.fromhex("d184") + _PROTECTED + bytes.fromhex("a10444")
_TAG_HEAD: Final = bytes.fromhex("5820")
_TAG_BYTES: Final = 32
_KID_END: Final = len(_BEGIN) + 4
# RFC 9052, 6.3: MAC_structure = ["MAC0", protected, external_aad, payload].
_MAC_BEGIN: Final = bytes.fromhex("84644d414330") + _PROTECTED


def seal(payload: bytes, *, key: DeviceKey, aad: bytes) -> bytes:
    """The frame for the payload; `aad` is not in it, yet must be the same where it is opened.
    Raises ValueError when the frame would be longer than MAX_SEALED_BYTES."""
    kid = key.number.to_bytes(4, "big")
    sealed = _BEGIN + kid + write_head(BYTES, len(payload)) + payload + _TAG_HEAD + _tag(payload, key, aad)
    if len(sealed) > MAX_SEALED_BYTES:
        raise ValueError(f"a sealed frame has at most {MAX_SEALED_BYTES} bytes")
    return sealed


def open_sealed(frame: bytes, *, keys: Sequence[DeviceKey], aad: bytes) -> bytes:
    """The payload. Raises MalformedFrame for anything but the one form, BadSeal when no key of that number made it
    for this `aad`."""
    if len(frame) > MAX_SEALED_BYTES:
        raise MalformedFrame(f"longer than {MAX_SEALED_BYTES} bytes", f"byte {MAX_SEALED_BYTES}")
    if not frame.startswith(_BEGIN):
        raise MalformedFrame("not a COSE_Mac0 of HMAC 256/256 with a kid of four bytes", _first_fault(frame))
    major, length, begin = read_head(frame, _KID_END)
    end = begin + length
    if major != BYTES:
        raise MalformedFrame("the payload is not a byte string", f"byte {_KID_END}")
    if len(frame) != end + len(_TAG_HEAD) + _TAG_BYTES or not frame.startswith(_TAG_HEAD, end):
        raise MalformedFrame("not one payload and one tag of 32 bytes", f"byte {min(end, len(frame))}")
    payload, tag = frame[begin:end], frame[-_TAG_BYTES:]
    number = int.from_bytes(frame[len(_BEGIN) : _KID_END], "big")
    held = [key for key in keys if key.number == number]
    if not held:
        raise BadSeal("unknown_key")
    for key in held:
        if hmac.compare_digest(tag, _tag(payload, key, aad)):
            return payload
    raise BadSeal("wrong_tag")


def _tag(payload: bytes, key: DeviceKey, aad: bytes) -> bytes:
    aad_head, payload_head = write_head(BYTES, len(aad)), write_head(BYTES, len(payload))
    return hmac.digest(key.secret, _MAC_BEGIN + aad_head + aad + payload_head + payload, "sha256")


def _first_fault(frame: bytes) -> str:
    same = next((at for at in range(min(len(frame), len(_BEGIN))) if frame[at] != _BEGIN[at]), len(frame))
    return f"byte {same}"
