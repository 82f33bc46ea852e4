"""Device keys as they rest in the database: sealed by a key that is not there."""

import base64
import binascii
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from firmware_protocol.device_key import DeviceKey

WRAPPING_KEY_BYTES = 32
"""AES-256."""

NONCE_BYTES = 12
"""Of AES-GCM, drawn for each wrapping: 2^32 wrappings under one key stay safe, which is more than devices exist."""

SETTING = "LATCHKEY_KEY_ENCRYPTION_KEY"
FILE_SETTING = "LATCHKEY_KEY_ENCRYPTION_KEY_FILE"
WANTED = "ID:BASE64 with 32 bytes, several parted by commas (./latchkey key new prints one)"

_PURPOSE = b"latchkey device key v1"
_NAME = re.compile(r"^[A-Za-z0-9._-]{1,32}$")


class BadKeyEncryptionKey(ValueError):
    """What was given is no list of key-encryption keys; the sentence never repeats it."""


class CannotUnwrap(Exception):
    """The key-encryption key is not among ours, or the row was changed or moved to another device."""

    def __init__(self, device_no: int, key_no: int, reason: str) -> None:
        super().__init__(f"key {key_no} of device {device_no} cannot be unwrapped: {reason}")
        self.device_no = device_no
        self.key_no = key_no


@dataclass(frozen=True, slots=True)
class Wrapped:
    """One device key at rest."""

    by: str
    """The id of the key-encryption key."""
    sealed: bytes
    """Nonce, ciphertext, tag."""


@dataclass(frozen=True, slots=True)
class KeyWrapping:
    """The key-encryption keys of this installation: the first wraps, all unwrap, so that one can follow another."""

    keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "KeyWrapping":
        """From `ID:BASE64[,ID:BASE64…]`. Raises BadKeyEncryptionKey."""
        keys: dict[str, bytes] = {}
        for part in text.split(","):
            name, _, encoded = part.strip().partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                raise BadKeyEncryptionKey(f"must be {WANTED}") from None
            if not _NAME.match(name) or len(key) != WRAPPING_KEY_BYTES or name in keys:
                raise BadKeyEncryptionKey(f"must be {WANTED}")
            keys[name] = key
        return cls(keys)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "KeyWrapping":
        """From LATCHKEY_KEY_ENCRYPTION_KEY, or the file that …_FILE names. Raises BadKeyEncryptionKey."""
        text, path = environment.get(SETTING, ""), environment.get(FILE_SETTING, "")
        if text and path:
            raise BadKeyEncryptionKey(f"and {FILE_SETTING} cannot both be set")
        if path:
            try:
                text = Path(path).read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise BadKeyEncryptionKey(
                    f"cannot be read from {FILE_SETTING} ({path}): {type(error).__name__}"
                ) from None
        if not text:
            raise BadKeyEncryptionKey(f"is not set; must be {WANTED}")
        return cls.parse(text)

    @property
    def newest(self) -> str:
        """The id of the one that wraps."""
        return next(iter(self.keys))

    def wrap(self, key: DeviceKey, *, device_no: int) -> Wrapped:
        """Bound to this device and number: another row cannot be given its secret."""
        nonce = os.urandom(NONCE_BYTES)
        by = self.newest
        sealed = AESGCM(self.keys[by]).encrypt(nonce, key.secret, _bound_to(device_no, key.number))
        return Wrapped(by, nonce + sealed)

    def unwrap(self, wrapped: Wrapped, *, device_no: int, key_no: int) -> DeviceKey:
        """Raises CannotUnwrap."""
        secret = self.keys.get(wrapped.by)
        if secret is None:
            raise CannotUnwrap(device_no, key_no, "its key-encryption key is not among those given")
        nonce, sealed = wrapped.sealed[:NONCE_BYTES], wrapped.sealed[NONCE_BYTES:]
        try:
            return DeviceKey(key_no, AESGCM(secret).decrypt(nonce, sealed, _bound_to(device_no, key_no)))
        except (InvalidTag, ValueError):
            raise CannotUnwrap(
                device_no, key_no, "it was changed, or belongs to another device or key"
            ) from None

    def rewrap(self, wrapped: Wrapped, *, device_no: int, key_no: int) -> Wrapped:
        """The same device key under the newest key-encryption key. Raises CannotUnwrap."""
        return self.wrap(self.unwrap(wrapped, device_no=device_no, key_no=key_no), device_no=device_no)


def new_key_encryption_key(name: str) -> str:
    """One `ID:BASE64`, as the setting wants it. Raises ValueError for a name that cannot be an id."""
    if not _NAME.match(name):
        raise ValueError(name)
    return f"{name}:{base64.b64encode(secrets.token_bytes(WRAPPING_KEY_BYTES)).decode()}"


def _bound_to(device_no: int, key_no: int) -> bytes:
    return _PURPOSE + device_no.to_bytes(8, "big") + key_no.to_bytes(8, "big")
