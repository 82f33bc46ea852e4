"""Live states come back from PostgreSQL as they were."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec import structs

from firmware_protocol.codec import Encoding, decode_report, encode_report
from firmware_protocol.messages import Bolt, DeviceId, Fix, Lock, Report
from firmware_protocol.topics import shard_of
from gateway.core.advance import Advanced, apply_report
from gateway.core.device import DeviceModel, DeviceRecord
from gateway.core.live_state import LiveState
from gateway.core.stamped import StampedReport
from gateway.ports import HistoryBatch, HistoryRow, LastReport, StoreUnavailable
from gateway.stores import last_reports
from gateway.stores.history import PostgresHistory
from gateway.stores.last_reports import PostgresLastReports, stamped
from gateway.stores.registry import PostgresRegistry
from tests.contract.test_registry import StillClock
from tests.support.stored import BIKE, DAY_MS, NOW_MS, a_row, register

NAMES = [DeviceId(f"bike-{n}") for n in range(12)]
SHARD = shard_of(NAMES[0])


def made(device: DeviceRecord, seq: int, *, late_ms: int = 0) -> tuple[HistoryRow, StampedReport]:
    """The row and the report of one frame."""
    boot, received_ms = NOW_MS // 1000, NOW_MS + seq * 10_000
    report = Report(
        boot=boot,
        seq=seq,
        elapsed_ms=seq * 10_000 - late_ms,
        fix=Fix(13_000_000 + seq * 10_000, 1_038_000_000, 5.0),
        lock=Lock(Bolt.CLOSED if seq % 3 else Bolt.OPEN),
        battery_pct=(97 - 7 * seq) % 100,
    )
    frame = encode_report(report, encoding=Encoding.JSON)
    at_ms = received_ms - late_ms
    row = a_row(seq, device_no=device.device_no, boot=boot, at_ms=at_ms, received_ms=received_ms, frame=frame)
    stamped = StampedReport(decode_report(frame), boot, seq, at_ms, False, received_ms, 0, 0, frame)
    return row, stamped


async def fleet(dsn: str) -> Mapping[DeviceId, DeviceRecord]:
    register(dsn, *NAMES)
    registry = PostgresRegistry(dsn, StillClock())
    records = await registry.load(NAMES)
    await registry.close()
    return records


@pytest.mark.parametrize("seed", range(5))
async def test_what_is_rebuilt_is_what_was_believed(database: str, seed: int) -> None:
    """States saved at any moment, or never; reports late, out of order, in any batches."""
    records, chance = await fleet(database), random.Random(seed)
    history = PostgresHistory(database)
    believed: dict[DeviceId, LiveState] = {}
    for name, device in records.items():
        state: LiveState | None = None
        seqs = list(range(1, chance.randint(1, 20)))
        chance.shuffle(seqs)
        for place, seq in enumerate(seqs):
            row, stamped = made(device, seq, late_ms=chance.choice([0, 0, 5000, 9 * DAY_MS]))
            received_ms = NOW_MS + place * 10_000
            row = structs.replace(row, received_ms=received_ms)
            outcome = apply_report(state, device, BIKE, structs.replace(stamped, received_ms=received_ms))
            if isinstance(outcome, Advanced):
                state = outcome.after
            saved = (
                [LastReport(device.device_no, state, received_ms)] if state and chance.random() < 0.2 else []
            )
            await history.append(HistoryBatch((), [row], last_reports=saved))
        if state is not None:
            believed[name] = state
    rebuilt: dict[DeviceId, LiveState] = {}
    store = PostgresLastReports(database, {"bike-1": BIKE}.__getitem__)
    for shard in range(16):
        for device, state in await store.of_shard(shard):
            assert shard_of(device.device_id) == shard
            rebuilt[device.device_id] = state
    assert rebuilt == believed
    await store.close()
    await history.close()


async def test_a_shard_without_reports_is_empty(database: str) -> None:
    await fleet(database)
    store = PostgresLastReports(database, {"bike-1": BIKE}.__getitem__)
    assert list(await store.of_shard(SHARD)) == []
    await store.close()


async def test_a_model_registered_a_moment_ago_does_not_end_a_rebuild(database: str) -> None:
    """The registry hears of models every two seconds, and the device may have spoken to another gateway."""
    history, registry = PostgresHistory(database), PostgresRegistry(database, StillClock())
    store = PostgresLastReports(database, registry.model)
    await registry.open()
    register(database, NAMES[0], model=structs.replace(BIKE, model="bike-of-today"))
    assert list(await store.of_shard(SHARD)) == []
    device = (await fleet(database))[NAMES[0]]
    row, _ = made(device, 1)
    await history.append(HistoryBatch((), [row]))
    with pytest.raises(StoreUnavailable, match="bike-of-today"):
        await store.of_shard(SHARD)
    await registry.refresh()
    ((found, state),) = await store.of_shard(SHARD)
    assert (found.device_id, state.seq) == (NAMES[0], 1)
    await store.close()
    await registry.close()
    await history.close()


async def test_a_rebuild_leaves_the_loop_to_others(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many devices: leases are renewed and reports acknowledged in between."""
    monkeypatch.setattr(last_reports, "ROWS_AT_ONCE", 5)
    records, history = await fleet(database), PostgresHistory(database)
    await history.append(
        HistoryBatch((), [made(device, seq)[0] for device in records.values() for seq in range(1, 11)])
    )
    at_once = most = 0

    def counted(row: Sequence[Any], model: DeviceModel) -> StampedReport:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        return stamped(row, model)

    async def others() -> None:
        nonlocal at_once
        while True:
            at_once = 0
            await asyncio.sleep(0)

    monkeypatch.setattr(last_reports, "stamped", counted)
    store, turning = (
        PostgresLastReports(database, {"bike-1": BIKE}.__getitem__),
        asyncio.create_task(others()),
    )
    found = [len(await store.of_shard(shard)) for shard in range(16)]
    turning.cancel()
    assert sum(found) == len(NAMES)
    assert max(found) > 1
    assert most == 10, "the reports of one device"
    await store.close()
    await history.close()
