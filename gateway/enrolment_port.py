"""What the route that enrols devices needs of the world."""

from typing import Protocol

from msgspec import Struct

from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import DeviceId


class CodeRefused(Exception):
    """Unknown, used or expired: which of them is not said."""


class DeviceTaken(Exception):
    """A device of that name is in service, or belongs to someone else."""

    def __init__(self, device_id: str) -> None:
        super().__init__(f"the device id {device_id} is taken")
        self.device_id = device_id


class Enrolled(Struct, frozen=True):
    """All that a new device needs; told once."""

    device_id: DeviceId
    model: str
    password: str
    key: DeviceKey

    def __repr__(self) -> str:
        """Without what is secret."""
        return f"Enrolled({self.device_id}, {self.model})"


class Enrolment(Protocol):
    """Takes a code for a place in the registry."""

    async def enrol(self, code: str, device_id: str = "") -> Enrolled:
        """The code is used up on return, and only then.

        Raises CodeRefused, DeviceTaken, MalformedTopic for an id no topic can carry, StoreUnavailable."""
