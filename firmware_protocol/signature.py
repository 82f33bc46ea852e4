"""Commands, welcomes and acks as signed frames, bound to one device and one topic by its key."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from firmware_protocol import topics
from firmware_protocol.claims import Claim, read_claims, write_claims
from firmware_protocol.commands import Ack, Command
from firmware_protocol.cose import open_sealed, seal
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.errors import BadSeal, MalformedFrame
from firmware_protocol.messages import DeviceId, Welcome

Signed = TypeVar("Signed", bound=msgspec.Struct)

# RFC 8392: a device is the subject of what it says, the audience of what it is told.
SUBJECT: Final = 2
AUDIENCE: Final = 3
_BOOT: Final = -70001
_FENCE: Final = -70002
_SLOT: Final = -70004

COMMAND_CLAIMS: Final[Mapping[str, int]] = {
    "command_id": 7,
    "boot": _BOOT,
    "fence": _FENCE,
    "not_after_s": 4,
    "kind": -70003,
    "slot": _SLOT,
    "settings": -70005,
}
WELCOME_CLAIMS: Final[Mapping[str, int]] = {
    "power_on_id": -70006,
    "boot": _BOOT,
    "server_time_ms": -70007,
    "hello_sent_ms": -70011,
}
ACK_CLAIMS: Final[Mapping[str, int]] = {
    "command_id": 7,
    "result": -70008,
    "boot": _BOOT,
    "fence": _FENCE,
    "slot": _SLOT,
    "reason": -70009,
    "elapsed_ms": -70010,
}


class _Form(Generic[Signed]):
    """One kind of signed frame, both ways."""

    def __init__(
        self, kind: type[Signed], claims: Mapping[str, int], *, party: int, topic: Callable[[DeviceId], str]
    ) -> None:
        self._kind: Final = kind
        self._party: Final = party
        self._topic: Final = topic
        self._numbers: Final = tuple(claims.items())
        self._left_out: Final = {field.name: _left_out(field) for field in msgspec.structs.fields(kind)}

    def sign(self, message: Signed, device_id: DeviceId, key: DeviceKey) -> bytes:
        claims: dict[int, Claim] = {self._party: device_id}
        for name, number in self._numbers:
            value = getattr(message, name)
            if value != self._left_out[name]:
                claims[number] = value
        return seal(write_claims(claims), key=key, aad=self._topic(device_id).encode())

    def verify(self, frame: bytes, device_id: DeviceId, keys: Sequence[DeviceKey]) -> Signed:
        claims = read_claims(open_sealed(frame, keys=keys, aad=self._topic(device_id).encode()))
        if claims.get(self._party) != device_id:
            raise BadSeal("wrong_device")
        # A claim that is not known is nobody's mistake: later versions add some.
        fields = {name: claims[number] for name, number in self._numbers if number in claims}
        try:
            return msgspec.convert(fields, self._kind)
        except msgspec.ValidationError as error:
            raise MalformedFrame(str(error), "claims") from None


def _left_out(field: msgspec.structs.FieldInfo) -> Any:
    """The value that goes without saying."""
    return field.default_factory() if callable(field.default_factory) else field.default


_COMMAND: Final = _Form(Command, COMMAND_CLAIMS, party=AUDIENCE, topic=topics.command_topic)
_WELCOME: Final = _Form(Welcome, WELCOME_CLAIMS, party=AUDIENCE, topic=topics.welcome_topic)
_ACK: Final = _Form(Ack, ACK_CLAIMS, party=SUBJECT, topic=topics.ack_topic)


def sign_command(command: Command, *, device_id: DeviceId, key: DeviceKey) -> bytes:
    """The frame for the device's `cmd` topic, always the same for the same command and key."""
    return _COMMAND.sign(command, device_id, key)


def verify_command(frame: bytes, *, device_id: DeviceId, keys: Sequence[DeviceKey]) -> Command:
    """Raises MalformedFrame | BadSeal. Says nothing of boot, time or fence."""
    return _COMMAND.verify(frame, device_id, keys)


def sign_welcome(welcome: Welcome, *, device_id: DeviceId, key: DeviceKey) -> bytes:
    """The frame for the device's `welcome` topic."""
    return _WELCOME.sign(welcome, device_id, key)


def verify_welcome(frame: bytes, *, device_id: DeviceId, keys: Sequence[DeviceKey]) -> Welcome:
    """Raises MalformedFrame | BadSeal. Says nothing of the power-on it is for."""
    return _WELCOME.verify(frame, device_id, keys)


def sign_ack(ack: Ack, *, device_id: DeviceId, key: DeviceKey) -> bytes:
    """The frame for the device's `ack` topic."""
    return _ACK.sign(ack, device_id, key)


def verify_ack(frame: bytes, *, device_id: DeviceId, keys: Sequence[DeviceKey]) -> Ack:
    """Raises MalformedFrame | BadSeal."""
    return _ACK.verify(frame, device_id, keys)
