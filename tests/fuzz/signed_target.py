"""What must hold of any bytes given to the verifiers: what was signed, in one form, or MalformedFrame or BadSeal."""

from collections.abc import Iterator
from typing import Any, cast

from firmware_protocol.claims import read_claims, write_claims
from firmware_protocol.cose import open_sealed, seal
from firmware_protocol.errors import BadSeal, MalformedFrame
from tests.vectors import signed

KINDS = ("command", "welcome", "ack")
GENUINE = frozenset(sample.frame for sample in signed.valid())
KEYS = tuple(signed.KEYS.values())


def check_signed(which: int, frame: bytes) -> None:
    """Bytes from the network: nobody without a key makes any that are taken."""
    if verified(KINDS[which], frame) is not None and frame not in GENUINE:
        raise AssertionError("a forged frame was taken")


def check_claims(which: int, payload: bytes) -> None:
    """Claims under a right seal, as only a faulty peer sends them: a message that can be signed again, or refused."""
    kind = KINDS[which]
    aad = signed.TOPICS[kind](signed.DEVICE).encode()
    try:
        frame = seal(payload, key=signed.KEY, aad=aad)
    except ValueError:
        return
    if open_sealed(frame, keys=KEYS, aad=aad) != payload:
        raise AssertionError("another payload than was sealed")
    message = verified(kind, frame)
    if message is None:
        return
    again = signed.signed(message)
    if verified(kind, again) != message:
        raise AssertionError(f"{kind} changed")
    if write_claims(read_claims(payload)) != payload and not _has_names(payload):
        raise AssertionError("two forms of the same claims")


def verified(kind: str, frame: bytes) -> Any:
    """The message, or None when it is refused in one of the two ways there are."""
    verify = cast(Any, signed.VERIFIERS[kind])
    try:
        return verify(frame, device_id=signed.DEVICE, keys=KEYS)
    except MalformedFrame as fault:
        if not fault.reason or not fault.at:
            raise AssertionError("a fault without where and why") from fault
    except BadSeal as bad:
        if bad.reason not in ("unknown_key", "wrong_tag", "wrong_device"):
            raise AssertionError(f"a new reason: {bad.reason}") from bad
    return None


def _has_names(payload: bytes) -> bool:
    """Claims by name are left out when they are read, so that they are not written again."""
    pairs = payload[0] & 31
    return len(read_claims(payload)) < (pairs if pairs < 24 else payload[1])


def seed_signed() -> Iterator[bytes]:
    """Every golden frame, whole and as claims, behind the byte that chooses the check."""
    for sample in (*signed.valid(), *signed.refused()):
        which = KINDS.index(sample.message)
        yield bytes([which]) + sample.frame[:2000]
        # Behind the header stand two bytes of length, the claims, and the tag.
        yield bytes([4 | which]) + sample.frame[15:-34]


def check_input(data: bytes) -> None:
    """The first byte chooses the check and the kind; the rest is the frame, or its claims."""
    if data and data[0] & 3 < 3:
        (check_claims if data[0] & 4 else check_signed)(data[0] & 3, data[1:])
