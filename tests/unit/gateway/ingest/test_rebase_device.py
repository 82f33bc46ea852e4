"""A person lets a device begin its numbering anew."""

import pytest

from firmware_protocol.messages import DeviceId, Report
from gateway.ingest.rebase_device import UnknownDevice, rebase_device
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.samples import BOOT_MS, arrived

A = DeviceId("bike-a")


async def rebase(gateway: FakeGateway, device_id: DeviceId = A) -> None:
    await rebase_device(device_id, gateway.registry, gateway.beliefs, gateway.history)


def basic(seq: int, minute: int) -> Report:
    return Report(seq=seq, reported_at_ms=BOOT_MS + minute * 60_000)


async def test_a_lost_counter_is_heard_again_even_while_the_owner_runs() -> None:
    gateway = FakeGateway()
    (device,) = gateway.register([A])
    await gateway.take(arrived(A, basic(500, 0), received_ms=BOOT_MS))
    beside = FakeGateway(gateway.fake_states)
    beside.registry, beside.history = gateway.registry, gateway.history
    beside.restart()
    await rebase(beside)
    for minute in (1, 2, 3):
        await gateway.take(arrived(A, basic(minute, minute), received_ms=BOOT_MS + minute * 60_000))
    state = await gateway.state(device)
    assert state is not None
    assert state.seq == 3
    assert [row.seq for row in gateway.history.rows] == [500, 1, 2, 3]
    assert gateway.counters.counts["mismatched"] == 0


async def test_a_rebuild_does_not_bring_the_old_stamp_back() -> None:
    gateway = FakeGateway()
    (device,) = gateway.register([A])
    await gateway.take(arrived(A, basic(500, 0), received_ms=BOOT_MS))
    await rebase(gateway)
    assert gateway.history.last_reports[device.device_no].state.seq == -1
    gateway.fake_states.flush()
    gateway.restart()
    await gateway.take(arrived(A, basic(1, 1), received_ms=BOOT_MS + 60_000))
    state = await gateway.state(device)
    assert state is not None
    assert state.seq == 1


async def test_who_is_not_registered_or_was_never_heard_is_unknown() -> None:
    gateway = FakeGateway()
    gateway.register([A])
    for device_id in (A, DeviceId("stranger")):
        with pytest.raises(UnknownDevice):
            await rebase(gateway, device_id)
