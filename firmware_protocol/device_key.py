"""A secret that one device and the gateway share."""

from dataclasses import dataclass, field

from firmware_protocol.limits import DEVICE_KEY_BYTES


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """`number` rises with each rotation and stands in every frame sealed with the key, as COSE `kid`."""

    number: int
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raises ValueError unless the number fits four bytes and the secret is as long as it must be."""
        if not 1 <= self.number < 2**32:
            raise ValueError("a key number is 1 to 2^32 - 1")
        if len(self.secret) != DEVICE_KEY_BYTES:
            raise ValueError(f"a device key has {DEVICE_KEY_BYTES} bytes")
