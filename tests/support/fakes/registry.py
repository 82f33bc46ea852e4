"""A registry in memory."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import structs

from firmware_protocol.messages import DeviceId, Hello
from gateway.core.device import DeviceModel, DeviceRecord, Status
from gateway.ports import Clock
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.interruptions import Interruptions


class FakeRegistry:
    """Implements `ports.Registry`. What is registered is in memory at once unless `forget` was called."""

    def __init__(
        self,
        models: Iterable[DeviceModel] = (),
        interruptions: Interruptions | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        """The clock is PostgreSQL's."""
        self.clock = clock or FakeClock()
        self._models = {model.model: model for model in models}
        self._stored: dict[DeviceId, DeviceRecord] = {}
        self._memory: dict[DeviceId, DeviceRecord] = {}
        self._issued: dict[tuple[int, int], int] = {}
        self._drawn = 1
        self.held: set[DeviceId] = set()
        """Devices whose rows somebody else has locked."""
        self._interruptions = interruptions or Interruptions()

    def register(
        self,
        device_id: DeviceId,
        model: str,
        *,
        status: Status = Status.ACTIVE,
        boots: Sequence[int] = (),
        home: tuple[int, int] | None = None,
    ) -> DeviceRecord:
        """Adds a device that was given these boot numbers, the last being its newest."""
        device_no = len(self._stored) + 1
        record = DeviceRecord(
            device_no=device_no,
            device_id=device_id,
            operator_id=1,
            model=model,
            status=status,
            public_id=f"public-{device_no}",
            marker=100_000_000 + device_no,
            boot=boots[-1] if boots else 0,
            power_on_id=boots[-1] if boots else None,
            home_lat_e7=home[0] if home else None,
            home_lon_e7=home[1] if home else None,
        )
        self._issued.update({(device_no, boot): boot for boot in boots})
        self.put(record)
        return record

    def put(self, record: DeviceRecord) -> None:
        """Stores a changed record."""
        self._stored[record.device_id] = self._memory[record.device_id] = record

    def forget(self) -> None:
        """As after a restart: nothing is in memory."""
        self._memory.clear()

    def all(self) -> list[DeviceRecord]:
        return list(self._stored.values())

    def known(self, device_id: DeviceId) -> DeviceRecord | None:
        return self._memory.get(device_id)

    async def load(self, device_ids: Sequence[DeviceId]) -> Mapping[DeviceId, DeviceRecord]:
        await self._interruptions.point("registry.load")
        found = {d: self._stored[d] for d in device_ids if d in self._stored}
        self._memory.update(found)
        return found

    def model(self, name: str) -> DeviceModel:
        return self._models[name]

    async def time_ms(self) -> int:
        await self._interruptions.point("registry.time_ms")
        return self.clock.now_ms()

    async def boots_issued(self, pairs: Sequence[tuple[int, int]]) -> frozenset[tuple[int, int]]:
        await self._interruptions.point("registry.boots_issued")
        return frozenset(pair for pair in pairs if pair in self._issued)

    async def give_boots(
        self, hellos: Sequence[tuple[DeviceRecord, Hello]], now_ms: int
    ) -> Mapping[DeviceId, DeviceRecord]:
        await self._interruptions.point("registry.give_boots")
        given: dict[DeviceId, DeviceRecord] = {}
        for device, hello in hellos:
            record = self._stored[device.device_id]
            if record.power_on_id != hello.power_on_id:
                boot = max(record.boot + 1, now_ms // 1000)
                record = structs.replace(record, boot=boot, power_on_id=hello.power_on_id)
                self._issued[record.device_no, boot] = hello.power_on_id
                self.put(record)
            given[device.device_id] = record
        await self._interruptions.point("registry.give_boots:done")
        return given

    async def give_public_ids(self, used: Mapping[DeviceId, int]) -> Mapping[DeviceId, DeviceRecord]:
        await self._interruptions.point("registry.give_public_ids")
        for device_id, used_no in used.items():
            stored = self._stored.get(device_id)
            if stored is None or device_id in self.held or stored.public_id_no > used_no:
                continue
            self._stored[device_id] = structs.replace(
                stored,
                public_id=f"fresh-{self._drawn}",
                marker=200_000_000 + self._drawn,
                public_id_no=stored.public_id_no + 1,
            )
            self._drawn += 1
        await self._interruptions.point("registry.give_public_ids:done")
        return await self.load(list(used))

    async def register_unknown(self, device_id: DeviceId, model: str) -> DeviceRecord | None:
        known = self._models.get(model)
        if known is None or not known.auto_register:
            return None
        return self.register(device_id, model)
