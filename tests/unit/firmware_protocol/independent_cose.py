"""The same frames by pycose, which shares no line with ours."""

from typing import Any

import cbor2
from pycose.algorithms import HMAC256
from pycose.headers import KID, Algorithm
from pycose.keys.symmetric import SymmetricKey
from pycose.messages.mac0message import Mac0Message

from firmware_protocol.device_key import DeviceKey


def sealed_elsewhere(payload: bytes, key: DeviceKey, aad: bytes, **headers: dict[Any, Any]) -> bytes:
    """What pycose makes of it; `headers` replace the usual `phdr` and `uhdr`."""
    protected = headers.get("phdr", {Algorithm: HMAC256})
    unprotected = headers.get("uhdr", {KID: key.number.to_bytes(4, "big")})
    message = Mac0Message(protected, unprotected, payload, aad, SymmetricKey(k=key.secret))
    sealed: bytes = message.encode()
    return sealed


def opened_elsewhere(frame: bytes, key: DeviceKey, aad: bytes) -> bytes | None:
    """The payload, or None when pycose finds that the key did not make it."""
    item = cbor2.loads(frame)
    assert item.tag == 17
    protected, unprotected, payload, tag = item.value
    # Its own decoder asks for lists and dictionaries, where cbor2 now gives tuples and frozen ones.
    message = Mac0Message.from_cose_obj([protected, dict(unprotected), payload, tag], False)
    message.key = SymmetricKey(k=key.secret)
    setattr(message, "external_aad", aad)  # noqa: B010 - its setter stands where mypy does not look
    return message.payload if message.verify_tag() else None
