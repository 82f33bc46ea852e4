"""Writes the golden vectors anew: `python -m tests.vectors.regenerate`; read the difference before committing it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from firmware_protocol import codec, topics
from firmware_protocol.codec import Encoding
from firmware_protocol.errors import MalformedFrame, MalformedTopic
from firmware_protocol.messages import DeviceId
from tests.vectors import foreign, samples, signed

FOLDER = Path(__file__).parent
DECODERS: dict[str, Callable[[bytes], msgspec.Struct]] = {
    "report": codec.decode_report,
    "hello": codec.decode_hello,
    "welcome": codec.decode_welcome,
    "receipt": codec.decode_receipt,
}
ENCODERS: dict[str, Callable[..., bytes]] = {
    "report": codec.encode_report,
    "hello": codec.encode_hello,
    "welcome": codec.encode_welcome,
    "receipt": codec.encode_receipt,
}
SAMPLES: dict[str, dict[str, tuple[str, Any]]] = {
    "report": dict(samples.REPORTS),
    "hello": dict(samples.HELLOS),
    "welcome": dict(samples.WELCOMES),
    "receipt": dict(samples.RECEIPTS),
}


def _readable(frame: bytes) -> dict[str, str]:
    """The text of a JSON frame that people can read; CBOR and broken text are in hex alone."""
    if not frame.lstrip().startswith(b"{") or len(frame) > 2000 or not frame.isascii():
        return {}
    return {"text": frame.decode()}


def valid_vectors() -> Iterator[dict[str, object]]:
    """Every sample in both encodings, then what other encoders may write."""
    for message, named in SAMPLES.items():
        for name, (why, value) in named.items():
            for encoding in Encoding:
                frame = ENCODERS[message](value, encoding=encoding)
                yield {
                    "name": f"{name}_{encoding}",
                    "message": message,
                    "why": why,
                    "written_by_us": True,
                    **_readable(frame),
                    "hex": frame.hex(),
                    "decoded": msgspec.to_builtins(value),
                }
    for name, message, why, frame in foreign.FOREIGN:
        yield {
            "name": name,
            "message": message,
            "why": why,
            "written_by_us": False,
            **_readable(frame),
            "hex": frame.hex(),
            "decoded": msgspec.to_builtins(DECODERS[message](frame)),
        }


def malformed_vectors() -> Iterator[dict[str, object]]:
    """Frames that must be refused, with the reason and place this decoder gives."""
    for name, message, why, frame in foreign.MALFORMED:
        try:
            DECODERS[message](frame)
        except MalformedFrame as fault:
            yield {
                "name": name,
                "message": message,
                "why": why,
                **_readable(frame),
                "hex": frame.hex(),
                "reason": fault.reason,
                "at": fault.at,
            }
        else:
            raise AssertionError(f"{name} was accepted")


def topic_vectors() -> dict[str, object]:
    """Shards, topics, and topics that must be refused."""
    devices = []
    for text in foreign.SHARD_IDS:
        device_id = DeviceId(text)
        devices.append(
            {
                "device_id": text,
                "crc32": f"{crc32(text.encode()):08x}",
                "shard": f"{topics.shard_of(device_id):02x}",
                "report_topic": topics.report_topic(device_id),
            }
        )
    malformed = []
    for topic, why in foreign.MALFORMED_TOPICS:
        try:
            topics.parse_topic(topic)
        except MalformedTopic as fault:
            malformed.append({"topic": topic, "why": why, "reason": fault.reason})
        else:
            raise AssertionError(f"{topic!r} was accepted")
    return {"devices": devices, "malformed": malformed}


def vector_files() -> dict[str, str]:
    """File name to text, as they must be on disk."""
    contents: dict[str, object] = {
        "valid_frames.json": list(valid_vectors()),
        "malformed_frames.json": list(malformed_vectors()),
        "topics.json": topic_vectors(),
        "signed_frames.json": signed.signed_vectors(),
    }
    return {name: json.dumps(content, indent=1) + "\n" for name, content in contents.items()}


def main() -> None:
    for name, text in vector_files().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
