"""At the end everything believed is saved once."""

import pytest

from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import SHARDS
from gateway.ingest import save_states as module
from gateway.ingest.save_states import save_states
from gateway.ports import Appended, HistoryBatch
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.history import FakeHistory
from tests.support.fakes.samples import BOOT_MS, arrived, bike_report


class CountedHistory:
    """Notes how many states each transaction saved."""

    def __init__(self, history: FakeHistory) -> None:
        self._history = history
        self.saved: list[int] = []

    async def append(self, batch: HistoryBatch) -> Appended:
        self.saved.append(len(batch.last_reports))
        return await self._history.append(batch)


async def test_a_drain_has_no_time_for_a_transaction_per_lane() -> None:
    """Against a slow PostgreSQL one each was more than it had, and the next gateway knew nothing of some devices."""
    gateway = FakeGateway()
    names = [DeviceId(f"bike-{number}") for number in range(40)]
    gateway.register(names)
    await gateway.take(*(arrived(name, bike_report(1)) for name in names))
    history = CountedHistory(gateway.history)
    assert await save_states(range(SHARDS), gateway.beliefs, history, BOOT_MS) == 40
    assert history.saved == [40]


async def test_a_drain_saves_every_changed_state_in_bounded_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SAVED", 2)
    gateway = FakeGateway()
    names = [f"bike-{number}" for number in range(5)]
    gateway.register(names)
    await gateway.take(*(arrived(DeviceId(name), bike_report(1)) for name in names))
    assert await save_states(range(SHARDS), gateway.beliefs, gateway.history, BOOT_MS) == 5
    saved = [last.state for _, last in sorted(gateway.history.last_reports.items())]
    assert saved == [gateway.fake_states.all()[DeviceId(name)] for name in names]
    assert await save_states(range(SHARDS), gateway.beliefs, gateway.history, BOOT_MS) == 0
    await gateway.take(arrived(DeviceId(names[0]), bike_report(2)))
    assert await save_states(range(SHARDS), gateway.beliefs, gateway.history, BOOT_MS) == 1
