"""Signed frames by name: some that a device or the gateway takes, and for every check one that it refuses."""

from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from firmware_protocol import signature, topics
from firmware_protocol.cbor_heads import BYTES, write_head
from firmware_protocol.claims import Claim, write_claims
from firmware_protocol.commands import Ack, AckResult, Command, CommandKind
from firmware_protocol.cose import open_sealed, seal
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.errors import BadSeal, MalformedFrame
from firmware_protocol.messages import DeviceId, Welcome
from firmware_protocol.verdict import judge
from tests.vectors.samples import BOOT, POWER_ON_ID

DEVICE: Final = DeviceId("bike-000123")
CABINET: Final = DeviceId("cab-0042")
KEY: Final = DeviceKey(7, bytes(range(32)))
NEXT_KEY: Final = DeviceKey(8, bytes(range(32, 64)))
KEYS: Final = {key.number: key for key in (KEY, NEXT_KEY)}
ID: Final = bytes.fromhex("0198c5e27a4170008f3e5d0c9b2a1764")
NOT_AFTER_S: Final = BOOT + 610
NOW_MS: Final = (BOOT + 603) * 1000

UNLOCK: Final = Command(ID, BOOT, 43, NOT_AFTER_S, CommandKind.UNLOCK)
EJECT: Final = Command(ID, BOOT, 301, NOT_AFTER_S, CommandKind.EJECT, 12)
CONFIGURE: Final = replace(
    UNLOCK,
    kind=CommandKind.CONFIGURE,
    settings={"heartbeat_s": 60, "lamp": True, "mode": "winter", "trim": -5},
)
WELCOME: Final = Welcome(POWER_ON_ID, BOOT, BOOT * 1000 + 412, 8_250)
EXECUTED: Final = Ack(ID, AckResult.EXECUTED, BOOT, 43, elapsed_ms=603_240)

SIGNERS: Final = {
    "command": signature.sign_command,
    "welcome": signature.sign_welcome,
    "ack": signature.sign_ack,
}
VERIFIERS: Final = {
    "command": signature.verify_command,
    "welcome": signature.verify_welcome,
    "ack": signature.verify_ack,
}
TOPICS: Final = {
    "command": topics.command_topic,
    "welcome": topics.welcome_topic,
    "ack": topics.ack_topic,
}


class Held(Struct, frozen=True):
    """What the device knows when a command reaches it."""

    why: str
    boot: int = BOOT
    server_ms: int | None = NOW_MS
    taken_fence: int = 42


class Sample(Struct, frozen=True):
    """One frame, and who hears it with which keys."""

    name: str
    message: str
    why: str
    frame: bytes
    device_id: DeviceId = DEVICE
    keys: tuple[int, ...] = (7,)
    judged: tuple[Held, ...] = ()


def signed(message: Command | Welcome | Ack, *, key: DeviceKey = KEY, device_id: DeviceId = DEVICE) -> bytes:
    signer = cast(Any, SIGNERS[type(message).__name__.lower()])
    frame: bytes = signer(message, device_id=device_id, key=key)
    return frame


def sealed(payload: bytes, *, topic: str = topics.command_topic(DEVICE)) -> bytes:
    """Any payload under a right seal: for what only a faulty gateway would send."""
    return seal(payload, key=KEY, aad=topic.encode())


def claims_of(command: Command, **changed: Claim) -> dict[int, Claim]:
    """The claims of a command to our device, some of them changed, or left out when None."""
    fields = {**{name: getattr(command, name) for name in signature.COMMAND_CLAIMS}, "aud": DEVICE, **changed}
    numbers = {**signature.COMMAND_CLAIMS, "aud": signature.AUDIENCE}
    return {numbers[name]: value for name, value in fields.items() if value not in (None, {})}


JUDGED: Final = (
    Held("in time, a fence above the last one"),
    Held("the last millisecond", server_ms=NOT_AFTER_S * 1000 - 1),
    Held("from that second on it must be refused", server_ms=NOT_AFTER_S * 1000),
    Held("long expired", server_ms=NOT_AFTER_S * 1000 + 7_200_000),
    Held("the fence was used up by this command or another", taken_fence=43),
    Held("a later command was taken", taken_fence=44),
    Held("the device has lost power since and was welcomed anew", boot=BOOT + 60),
    Held(
        "wrong boot is said before expired", boot=BOOT + 60, server_ms=NOT_AFTER_S * 1000 + 1, taken_fence=50
    ),
    Held("expired is said before old fence", server_ms=NOT_AFTER_S * 1000 + 1, taken_fence=50),
    Held("the device waits for its welcome: silence", boot=0, server_ms=None),
    Held("the welcome for that boot number is still on its way: silence", boot=BOOT - 60),
    Held("no signed welcome yet, so no idea of the time: silence", server_ms=None),
)
UNFENCED: Final = (Held("this kind leaves no mark, so its fence may be an old one", taken_fence=50),)


def valid() -> Iterator[Sample]:
    yield Sample("unlock", "command", "the usual order to a bike", signed(UNLOCK), judged=JUDGED)
    yield Sample("eject", "command", "of slot 12", signed(EJECT, device_id=CABINET), CABINET)
    yield Sample("configure", "command", "a number, a switch, a text, a negative number", signed(CONFIGURE))
    for kind in CommandKind:
        if kind not in (CommandKind.UNLOCK, CommandKind.EJECT, CommandKind.CONFIGURE):
            slot = 3 if kind is CommandKind.OPEN_SLOT else 0
            frame = signed(replace(UNLOCK, kind=kind, slot=slot))
            unfenced = kind in (CommandKind.LOCATE, CommandKind.QUERY)
            yield Sample(
                kind.name.lower(), "command", "every kind", frame, judged=UNFENCED if unfenced else ()
            )
    longest = replace(UNLOCK, boot=2**63 - 1, fence=2**63 - 1, not_after_s=2**33, slot=96)
    yield Sample("longest_numbers", "command", "63 bits of boot and fence", signed(longest))
    yield Sample(
        "next_key", "command", "both keys during a rotation", signed(UNLOCK, key=NEXT_KEY), keys=(7, 8)
    )
    yield Sample("old_key", "command", "both keys during a rotation", signed(UNLOCK), keys=(8, 7))
    unknown = write_claims({**claims_of(UNLOCK, slot=None), -79999: [1, {"a": None}]})
    yield Sample("unknown_claim", "command", "later versions add some: ignored", sealed(unknown))
    yield Sample("welcome", "welcome", "the answer to the hello sent at 8250", signed(WELCOME))
    longest_id = Welcome(2**64 - 1, BOOT, BOOT * 1000, -1)
    yield Sample(
        "welcome_longest_id", "welcome", "64 bits, and a clock that began below 0", signed(longest_id)
    )
    accepted = Ack(ID, AckResult.ACCEPTED, BOOT, 43)
    yield Sample("ack_accepted", "ack", "taken, being carried out", signed(accepted))
    yield Sample("ack_executed", "ack", "with the time it happened", signed(EXECUTED))
    refused = Ack(ID, AckResult.REFUSED, BOOT, 43, reason="expired")
    yield Sample("ack_refused", "ack", "with the reason", signed(refused))
    failed = Ack(ID, AckResult.FAILED, BOOT, 301, 12, "jammed", 603_240)
    yield Sample("ack_failed", "ack", "of a slot", signed(failed, device_id=CABINET), CABINET)


def changed(frame: bytes, at: int, bits: int) -> bytes:
    return frame[:at] + bytes((frame[at] ^ bits,)) + frame[at + 1 :]


def refused() -> Iterator[Sample]:
    """What the receiver drops without an answer."""
    frame = signed(UNLOCK)
    yield Sample("bad_tag", "command", "the last bit is flipped", changed(frame, -1 + len(frame), 1))
    for message in (WELCOME, EXECUTED):
        kind = type(message).__name__.lower()
        flipped = changed(signed(message), 40, 4)
        yield Sample(f"bad_payload_{kind}", kind, "one bit of the payload is flipped", flipped)
    yield Sample("bad_payload", "command", "one bit of the payload is flipped", changed(frame, 24, 1))
    yield Sample("wrong_kid", "command", "made with a key that this device does not hold", frame, keys=(8,))
    yield Sample("no_key", "command", "the device holds none", frame, keys=())
    relabelled = frame.replace(b"\x44\x00\x00\x00\x07", b"\x44\x00\x00\x00\x08")
    yield Sample(
        "kid_of_the_other_key", "command", "the number says 8, key 7 made it", relabelled, keys=(7, 8)
    )
    yield Sample("wrong_topic_device", "command", "heard by another device with the same key", frame, CABINET)
    yield Sample("wrong_topic_channel", "welcome", "a command on the welcome topic", frame)
    ours = sealed(write_claims(claims_of(UNLOCK, aud=CABINET, slot=None)))
    yield Sample("wrong_audience", "command", "sealed for this topic, but it names another device", ours)
    nobody = sealed(write_claims(claims_of(UNLOCK, aud=None, slot=None)))
    yield Sample("no_audience", "command", "it names nobody", nobody)
    yield Sample("truncated", "command", "cut before the last byte", frame[:-1])
    yield Sample("truncated_payload", "command", "cut in the payload", frame[:40])
    yield Sample("empty", "command", "nothing", b"")
    yield Sample("trailing", "command", "a byte after the tag", frame + b"\x00")
    yield Sample("untagged", "command", "without tag 17", frame[1:])
    yield Sample("plain_json", "command", "not sealed at all", b'{"kind":1}')
    long_kid = frame.replace(b"\xa1\x04\x44", b"\xa1\x04\x58\x04", 1)
    yield Sample("kid_length_not_shortest", "command", "one form only", long_kid)
    payload = write_claims(claims_of(UNLOCK, slot=None))
    assert len(payload) >= 24
    stretched = frame.replace(write_head(BYTES, len(payload)), b"\x59" + len(payload).to_bytes(2, "big"), 1)
    yield Sample("payload_length_not_shortest", "command", "one form only", stretched)
    oversize = sealed(write_claims({**claims_of(UNLOCK, slot=None), -79999: b"x" * 1880}))
    yield Sample("oversize", "command", "longer than 2048 bytes", oversize + bytes(2049 - len(oversize)))
    yield from _refused_claims(payload)


def _refused_claims(payload: bytes) -> Iterator[Sample]:
    """Under a right seal, so that only the claims are wrong."""
    for name, why, body in (
        ("claims_trailing", "a byte after the claims", payload + b"\x00"),
        ("claims_twice", "the expiry twice", payload.replace(b"\xa6\x03", b"\xa7\x04\x01\x03", 1)),
        ("claims_not_shortest", "fence 43 in two bytes", payload.replace(b"\x18\x2b", b"\x19\x00\x2b")),
        ("claims_indefinite", "a map without a length", b"\xbf" + payload[1:] + b"\xff"),
        ("claims_not_a_map", "an array", b"\x80"),
        ("claims_float", "fence 43.0", payload.replace(b"\x18\x2b", b"\xf9\x51\x60")),
        (
            "claims_deep",
            "an unknown claim nested deeper than 4",
            payload[:1].replace(b"\xa6", b"\xa7")
            + payload[1:]
            + bytes.fromhex("3a0001387e")
            + b"\x81" * 4
            + b"\x00",
        ),
        (
            "no_expiry",
            "an order without an end",
            write_claims(claims_of(UNLOCK, not_after_s=None, slot=None)),
        ),
        ("no_fence", "an order without a fence", write_claims(claims_of(UNLOCK, fence=None, slot=None))),
        ("no_boot", "an order for any boot", write_claims(claims_of(UNLOCK, boot=None, slot=None))),
        ("fence_zero", "fences begin with 1", write_claims(claims_of(UNLOCK, fence=0, slot=None))),
        ("fence_64_bits", "63 bits", write_claims(claims_of(UNLOCK, fence=2**63, slot=None))),
        ("slot_97", "at most 96 slots", write_claims(claims_of(UNLOCK, slot=97))),
        ("kind_99", "no such kind", write_claims(claims_of(UNLOCK, kind=99, slot=None))),
        ("short_id", "15 bytes", write_claims(claims_of(UNLOCK, command_id=ID[:15], slot=None))),
        (
            "expiry_as_text",
            "an integer",
            write_claims(claims_of(UNLOCK, not_after_s="1790000610", slot=None)),
        ),
        ("expiry_as_switch", "true is not 1", write_claims(claims_of(UNLOCK, not_after_s=True, slot=None))),
    ):
        yield Sample(name, "command", why, sealed(body))


def readable(message: msgspec.Struct) -> dict[str, object]:
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    shown = {name: value.hex() if isinstance(value, bytes) else value for name, value in fields.items()}
    return {name: value for name, value in shown.items() if value not in (None, {})}


def signed_vectors() -> dict[str, object]:
    """Keys, frames that are taken with what they say, frames that are refused with the reason."""
    return {
        "keys": {str(number): key.secret.hex() for number, key in KEYS.items()},
        "valid": [_valid_vector(sample) for sample in valid()],
        "refused": [_refused_vector(sample) for sample in refused()],
    }


def _common(sample: Sample) -> dict[str, object]:
    return {
        "name": sample.name,
        "message": sample.message,
        "why": sample.why,
        "device_id": sample.device_id,
        "topic": TOPICS[sample.message](sample.device_id),
        "keys": list(sample.keys),
        "hex": sample.frame.hex(),
    }


def verified(sample: Sample) -> Command | Welcome | Ack:
    keys = [KEYS[number] for number in sample.keys]
    verify = cast(Any, VERIFIERS[sample.message])
    message: Command | Welcome | Ack = verify(sample.frame, device_id=sample.device_id, keys=keys)
    return message


def _valid_vector(sample: Sample) -> dict[str, object]:
    message = verified(sample)
    aad = TOPICS[sample.message](sample.device_id).encode()
    payload = open_sealed(sample.frame, keys=[KEYS[number] for number in sample.keys], aad=aad)
    judged = [
        {
            **msgspec.to_builtins(held),
            "verdict": str(
                judge(message, boot=held.boot, server_ms=held.server_ms, taken_fence=held.taken_fence)
            ),
        }
        for held in sample.judged
        if isinstance(message, Command)
    ]
    return {
        **_common(sample),
        "payload": payload.hex(),
        "decoded": readable(message),
        **({"judged": judged} if judged else {}),
    }


def _refused_vector(sample: Sample) -> dict[str, object]:
    try:
        verified(sample)
    except MalformedFrame as fault:
        return {**_common(sample), "refused": "malformed", "reason": fault.reason, "at": fault.at}
    except BadSeal as bad:
        return {**_common(sample), "refused": "bad_seal", "reason": bad.reason}
    raise AssertionError(f"{sample.name} was accepted")
