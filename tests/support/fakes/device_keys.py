"""Keys of devices in memory."""

from collections.abc import Mapping, Sequence

from firmware_protocol.device_key import DeviceKey
from tests.support.fakes.interruptions import Interruptions


class FakeDeviceKeys:
    """Implements `DeviceKeys`."""

    def __init__(self, interruptions: Interruptions | None = None) -> None:
        self._keys: dict[int, tuple[DeviceKey, ...]] = {}
        self._interruptions = interruptions or Interruptions()

    def give(self, device_no: int, *numbers: int) -> tuple[DeviceKey, ...]:
        """The device has keys of these numbers, the newest last; answers newest first."""
        keys = tuple(DeviceKey(number, bytes([number % 256, device_no % 256] * 16)) for number in numbers)
        self._keys[device_no] = tuple(reversed(keys))
        return self._keys[device_no]

    async def load(self, device_nos: Sequence[int]) -> Mapping[int, Sequence[DeviceKey]]:
        await self._interruptions.point("keys.load")
        return {one: self._keys[one] for one in device_nos if one in self._keys}
