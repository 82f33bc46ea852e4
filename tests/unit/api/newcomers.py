"""Devices that enrol and brokers that ask, in memory."""

from dataclasses import dataclass, field

from firmware_protocol.device_key import DeviceKey
from firmware_protocol.topics import checked_device_id
from gateway.broker_port import Admission
from gateway.enrolment_port import CodeRefused, DeviceTaken, Enrolled
from gateway.ports import StoreUnavailable

BROKER_SECRET = b"the broker's own secret"
BROKER_ADDRESS = "mqtts://mqtt.example.org:8883"


@dataclass
class Newcomers:
    """Implements `enrolment_port.Enrolment` and `broker_port.BrokerAccess`."""

    codes: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    known: dict[str, Admission] = field(default_factory=dict)
    is_away: bool = False

    async def enrol(self, code: str, device_id: str = "") -> Enrolled:
        if self.is_away:
            raise StoreUnavailable("gone")
        wanted = checked_device_id(device_id or "d-drawn")
        if code not in self.codes:
            raise CodeRefused
        if wanted in self.taken:
            raise DeviceTaken(wanted)
        self.codes.discard(code)
        self.taken.add(wanted)
        return Enrolled(wanted, "city-bike", "its password", DeviceKey(1, bytes(range(32))))

    async def of(self, name: str) -> Admission | None:
        if self.is_away:
            raise StoreUnavailable("gone")
        return self.known.get(name)
