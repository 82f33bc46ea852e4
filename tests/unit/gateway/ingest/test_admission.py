"""Who is listened to."""

import pytest
from msgspec import structs

from firmware_protocol.messages import DeviceId, Report
from gateway.core.device import Status
from gateway.ingest.admission import admit
from gateway.ports import Arrived
from tests.support.fakes.registry import FakeRegistry
from tests.support.fakes.samples import BOOT, BOOT_MS, MODELS, arrived, bike_report

A = DeviceId("bike-a")


@pytest.fixture
def registry() -> FakeRegistry:
    registry = FakeRegistry(MODELS)
    registry.register(A, "bike", boots=(BOOT - 1, BOOT))
    return registry


async def refusal(registry: FakeRegistry, one: Arrived) -> str:
    admission = await admit([one], registry)
    assert len(admission.admitted) + len(admission.refused) == 1
    if not admission.refused:
        return ""
    (frame,) = admission.refused
    assert (frame.device_id, frame.frame, frame.received_ms) == (one.device_id, one.frame, one.received_ms)
    assert frame.topic.endswith(f"/{one.device_id}/report")
    return frame.reason


async def test_an_active_device_on_its_shard_with_a_given_boot_is_admitted(registry: FakeRegistry) -> None:
    assert await refusal(registry, arrived(A, bike_report(1))) == ""
    assert await refusal(registry, arrived(A, bike_report(1, boot=BOOT - 1))) == ""
    assert await refusal(registry, arrived(A, Report(seq=1), received_ms=BOOT_MS)) == ""


async def test_a_device_that_is_not_in_memory_is_asked_for(registry: FakeRegistry) -> None:
    registry.forget()
    assert await refusal(registry, arrived(A, bike_report(1))) == ""
    assert registry.known(A) is not None


async def test_strangers_and_devices_that_are_not_active_are_refused(registry: FakeRegistry) -> None:
    assert await refusal(registry, arrived(DeviceId("stranger"), bike_report(1))) == "unknown_device"
    for status in (Status.REGISTERED, Status.SUSPENDED, Status.RETIRED):
        record = registry.register(DeviceId(f"bike-{status.name}"), "bike", status=status, boots=(BOOT,))
        assert await refusal(registry, arrived(record.device_id, bike_report(1))) == "unknown_device"


async def test_a_foreign_shard_is_refused(registry: FakeRegistry) -> None:
    one = arrived(A, bike_report(1))
    assert await refusal(registry, structs.replace(one, lane=(one.lane + 1) % 16)) == "wrong_shard"


async def test_a_boot_never_given_to_this_device_is_refused(registry: FakeRegistry) -> None:
    registry.register(DeviceId("bike-b"), "bike", boots=(BOOT + 5,))
    for boot in (BOOT + 5, 1, 2**63 - 1):
        assert await refusal(registry, arrived(A, bike_report(1, boot=boot))) == "boot_not_issued"


async def test_a_malformed_frame_is_kept_with_its_reason(registry: FakeRegistry) -> None:
    one = structs.replace(
        arrived(A, bike_report(1)), report=None, malformed_reason="no map", malformed_at="byte 0"
    )
    admission = await admit([one], registry)
    (frame,) = admission.refused
    assert (frame.reason, frame.where) == ("malformed", "no map (byte 0)")
