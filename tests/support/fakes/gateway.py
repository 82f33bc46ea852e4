"""One gateway process over fakes of everything around it; killing it leaves only what the stores hold."""

from collections.abc import Iterable
from itertools import count

from firmware_protocol.codec import decode_receipt
from firmware_protocol.messages import DeviceId, ReportStamp
from firmware_protocol.topics import shard_of
from gateway.core.device import DeviceRecord
from gateway.core.live_state import LiveState
from gateway.ingest.beliefs import Beliefs
from gateway.ingest.fresh_ids import FreshIdPorts, FreshIds
from gateway.ingest.presence_sweep import PresenceSweep, SweepPorts
from gateway.ingest.rebuild import RebuildPorts, rebuild_shard
from gateway.ingest.silence_wheel import SilenceWheel
from gateway.ingest.take_hellos import HelloPorts
from gateway.ingest.take_reports import ReportPorts, TakeReports
from gateway.ports import Arrived, LiveStates
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.counters import FakeCounters
from tests.support.fakes.device_link import FakeDeviceLink
from tests.support.fakes.evidence import FakeEvidence
from tests.support.fakes.history import FakeHistory
from tests.support.fakes.interruptions import Interruptions
from tests.support.fakes.live_states import FakeLiveStates
from tests.support.fakes.registry import FakeRegistry
from tests.support.fakes.samples import BOOT, BOOT_MS, MODELS


class FakeGateway:
    """The flows of a gateway, wired as the composition root does it."""

    def __init__(self, live_states: LiveStates | None = None) -> None:
        self.interruptions = Interruptions()
        self.clock = FakeClock(BOOT_MS)
        self.counters = FakeCounters()
        self.registry = FakeRegistry(MODELS, self.interruptions, clock=self.clock)
        self.history = FakeHistory(self.registry, self.interruptions)
        self.fake_states = FakeLiveStates(self.interruptions)
        self.live_states: LiveStates = live_states or self.fake_states
        self.link = FakeDeviceLink(self.interruptions)
        self.evidence = FakeEvidence(self.interruptions)
        self.hello_ports = HelloPorts(self.registry, self.link, self.counters)
        self._epochs = count(1)
        self.restart()

    def restart(self) -> None:
        """A new process over the same stores."""
        self.registry.forget()
        rebuild = RebuildPorts(
            self.history, self.live_states, self.registry, self.clock, self.counters, self._new_epoch
        )
        self.beliefs = Beliefs(self.live_states, lambda shard: rebuild_shard(shard, rebuild), self.counters)
        self.wheel = SilenceWheel(self.clock.now_ms())
        self.fresh_ids = FreshIds(
            FreshIdPorts(self.registry, self.beliefs, self.counters, self.clock, lambda: 0.5)
        )
        ports = ReportPorts(
            self.registry,
            self.history,
            self.beliefs,
            self.link,
            self.wheel,
            self.counters,
            self.evidence,
            self.fresh_ids,
        )
        self.reports = TakeReports(ports)
        sweeping = SweepPorts(
            self.registry, self.live_states, self.beliefs, self.clock, self.counters, self.fresh_ids
        )
        self.sweep = PresenceSweep(sweeping, self.wheel)

    def register(self, names: Iterable[str], model: str = "bike") -> list[DeviceRecord]:
        """Devices that were given the boot of the samples, and one before."""
        return [self.registry.register(DeviceId(name), model, boots=(BOOT - 1, BOOT)) for name in names]

    async def take(self, *batch: Arrived) -> None:
        await self.reports.take(batch)

    async def state(self, device: DeviceRecord) -> LiveState | None:
        """What the store holds, whatever the process believes."""
        shard = shard_of(device.device_id)
        return (await self.live_states.load({shard: [device.device_id]})).get(device.device_id)

    def receipted(self) -> dict[DeviceId, list[ReportStamp]]:
        """Every stamp ever named in a receipt, per device, in order."""
        named: dict[DeviceId, list[ReportStamp]] = {}
        for _, topic, payload in self.link.published:
            if topic.endswith("/receipt"):
                device_id = DeviceId(topic.split("/")[3])
                named.setdefault(device_id, []).extend(decode_receipt(payload).stamps)
        return named

    def acknowledged(self) -> list[int]:
        """Packet ids in the order they were acknowledged."""
        return [delivery.packet_id for delivery in self.link.acknowledged]

    def _new_epoch(self) -> str:
        return f"epoch-{next(self._epochs)}"
