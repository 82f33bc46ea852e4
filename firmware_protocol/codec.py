"""Bytes to messages and back, in JSON and CBOR; the first byte tells which."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Generic, TypeVar

import msgspec

from firmware_protocol import cbor
from firmware_protocol.errors import MalformedFrame
from firmware_protocol.limits import MAX_FRAME_BYTES, MAX_JSON_BRACKETS
from firmware_protocol.messages import Hello, Receipt, Report, Welcome

Message = TypeVar("Message", bound=msgspec.Struct)


class Encoding(StrEnum):
    """The two forms of one frame."""

    JSON = "json"
    CBOR = "cbor"


_JSON_STARTS = (b"{", b" ", b"\t", b"\r", b"\n")
_PATH = re.compile(r"(.*) - at `(.*)`", re.DOTALL)
_BYTE = re.compile(r"(.*) \(byte (\d+)\)", re.DOTALL)


def encoding_of(frame: bytes) -> Encoding:
    """Told by the first byte. Raises MalformedFrame when it begins neither a JSON object nor a CBOR map."""
    if frame.startswith(_JSON_STARTS):
        return Encoding.JSON
    if frame and 0xA0 <= frame[0] <= 0xBF:
        return Encoding.CBOR
    raise MalformedFrame("neither a JSON object nor a CBOR map" if frame else "empty frame", "byte 0")


class _Codec(Generic[Message]):
    """Both directions and both encodings of one kind of message."""

    __slots__ = ("_json", "_keys", "_kind")

    def __init__(self, kind: type[Message], keys: cbor.Keys) -> None:
        self._kind: Final = kind
        self._keys: Final = keys
        self._json: Final = msgspec.json.Decoder(kind)

    def decode(self, frame: bytes) -> Message:
        if len(frame) > MAX_FRAME_BYTES:
            raise MalformedFrame(f"longer than {MAX_FRAME_BYTES} bytes", f"byte {MAX_FRAME_BYTES}")
        try:
            if frame and 0xA0 <= frame[0] <= 0xBF:
                return msgspec.convert(cbor.read_fields(frame, self._keys), self._kind)
            encoding_of(frame)
            if len(frame) > MAX_JSON_BRACKETS and frame.count(b"{") + frame.count(b"[") > MAX_JSON_BRACKETS:
                raise MalformedFrame(f"JSON: more than {MAX_JSON_BRACKETS} objects and arrays", "$")
            return self._json.decode(frame)
        except msgspec.ValidationError as error:
            raise _invalid(error) from None
        except msgspec.DecodeError as error:
            raise _broken_json(error, frame) from None
        except UnicodeDecodeError:
            raise _not_utf8(frame) from None
        except RecursionError:
            raise MalformedFrame("JSON: nested too deep", "$") from None

    def decode_all(self, frames: Sequence[bytes]) -> list[Message] | None:
        for frame in frames:
            if not frame or not 0xA0 <= frame[0] <= 0xBF or len(frame) > MAX_FRAME_BYTES:
                return None
        fields = cbor.read_all_fields(frames, self._keys)
        if fields is None:
            return None
        convert, kind = msgspec.convert, self._kind
        try:
            return [convert(one, kind) for one in fields]
        except msgspec.ValidationError:
            return None

    def encode(self, message: Message, encoding: Encoding) -> bytes:
        if encoding is Encoding.JSON:
            return msgspec.json.encode(message)
        return cbor.write_fields(msgspec.to_builtins(message), self._keys)


def _invalid(error: msgspec.ValidationError) -> MalformedFrame:
    found = _PATH.fullmatch(str(error))
    reason, at = (found[1], found[2]) if found else (str(error), "$")
    # A pattern helps nobody who reads the quarantine.
    return MalformedFrame(
        "a character that is not allowed here" if "matching regex" in reason else reason, at
    )


def _broken_json(error: msgspec.DecodeError, frame: bytes) -> MalformedFrame:
    found = _BYTE.fullmatch(str(error))
    if found:
        return MalformedFrame(found[1], f"byte {found[2]}")
    return MalformedFrame(f"JSON: {error}", f"byte {len(frame)}")


def _not_utf8(frame: bytes) -> MalformedFrame:
    try:
        frame.decode()
    except UnicodeDecodeError as error:
        return MalformedFrame("JSON: text is not UTF-8", f"byte {error.start}")
    # Escapes can name half of a surrogate pair, which no text may hold.
    return MalformedFrame("JSON: text is not Unicode", "$")


_REPORT = _Codec(Report, cbor.REPORT_KEYS)
_HELLO = _Codec(Hello, cbor.HELLO_KEYS)
_WELCOME = _Codec(Welcome, cbor.WELCOME_KEYS)
_RECEIPT = _Codec(Receipt, cbor.RECEIPT_KEYS)


def decode_report(frame: bytes) -> Report:
    """A report that any store can hold. Raises MalformedFrame, never anything else."""
    return _REPORT.decode(frame)


def decode_reports(frames: Sequence[bytes]) -> list[Report] | None:
    """What `decode_report` makes of each, for less; None when they must be decoded one by one, because one of them is
    malformed or is not CBOR."""
    return _REPORT.decode_all(frames)


def decode_hello(frame: bytes) -> Hello:
    """Raises MalformedFrame, never anything else."""
    return _HELLO.decode(frame)


def decode_welcome(frame: bytes) -> Welcome:
    """Raises MalformedFrame, never anything else."""
    return _WELCOME.decode(frame)


def decode_receipt(frame: bytes) -> Receipt:
    """Raises MalformedFrame, never anything else."""
    return _RECEIPT.decode(frame)


def encode_report(report: Report, *, encoding: Encoding) -> bytes:
    """The frame without fields that have their default value; trusts the message."""
    return _REPORT.encode(report, encoding)


def encode_hello(hello: Hello, *, encoding: Encoding) -> bytes:
    return _HELLO.encode(hello, encoding)


def encode_welcome(welcome: Welcome, *, encoding: Encoding) -> bytes:
    return _WELCOME.encode(welcome, encoding)


def encode_receipt(receipt: Receipt, *, encoding: Encoding) -> bytes:
    return _RECEIPT.encode(receipt, encoding)
