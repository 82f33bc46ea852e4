"""A whole run against a tiny broker: every report is confirmed, every kept one receipted."""

import asyncio
from pathlib import Path

import pytest

from device_sim.driver import Address
from device_sim.fleet import Fleet, build_fleet
from device_sim.profiles import Kind
from device_sim.run import Bridge, Progress, RunPlan, run_fleet
from device_sim.truth import read_truth
from tests.unit.device_sim.tiny_broker import TinyBroker


def broker_for(fleet: Fleet, **more: str) -> TinyBroker:
    return TinyBroker({device.device_id: device.password for device in fleet.devices()} | more)


async def test_what_was_sent_arrived_and_the_truth_file_says_so(tmp_path: Path) -> None:
    fleet = build_fleet(30, seed=2, secret=b"s")
    told: list[Progress] = []
    async with broker_for(fleet) as broker:
        plan = RunPlan(
            Address("127.0.0.1", broker.port),
            rate_per_s=300.0,
            gather_s=30.0,
            for_s=1.5,
            kept_share=0.2,
            last_words=True,
            truth_path=tmp_path / "truth.jsonl",
        )
        result = await run_fleet(fleet, plan, tell=told.append)
    summary = result.summary
    assert summary.devices == summary.connected == 30
    assert summary.sent == summary.acked > 30
    assert summary.kept == summary.receipted > 0
    assert summary.kept_outstanding == summary.unconfirmed == summary.dropped == summary.disconnects == 0
    assert summary.puback_p50_ms is not None
    assert told
    arrived = {(device_id, report.boot, report.seq or 0) for device_id, report in broker.reports}
    assert len(arrived) == len(broker.reports) == summary.sent
    with (tmp_path / "truth.jsonl").open() as lines:
        written = read_truth(lines)
    assert set(written) == arrived
    assert all(report.acked_ms for report in written.values())
    assert all(report.receipted_ms for report in written.values() if report.kept)


async def test_a_hostile_network_loses_no_kept_report(tmp_path: Path) -> None:
    fleet = build_fleet(20, seed=3, secret=b"s")
    async with broker_for(fleet) as broker:
        plan = RunPlan(
            Address("127.0.0.1", broker.port),
            rate_per_s=200.0,
            gather_s=30.0,
            for_s=1.0,
            profile="hostile",
            kept_share=0.2,
            drain_s=0.5,
        )
        result = await run_fleet(fleet, plan)
    arrived = {(device_id, report.boot, report.seq) for device_id, report in broker.reports}
    for truth in result.truths:
        assert all((truth.device_id, *stamp) in arrived for stamp in truth.receipted)
    assert result.summary.faults.delayed > 0


async def test_kept_reports_that_no_boot_number_lets_out_are_waited_for_and_told() -> None:
    fleet = build_fleet(5, seed=2, secret=b"s", mix={Kind.CABINET: 1})
    async with broker_for(fleet) as broker:
        broker.gives_boots = False
        plan = RunPlan(
            Address("127.0.0.1", broker.port), gather_s=30.0, for_s=0.0, last_words=True, drain_s=0.3
        )
        result = await run_fleet(fleet, plan)
    assert [truth.unreceipted for truth in result.truths] == [1] * 5
    assert result.summary.seconds >= 0.3, "the drain waits for them"
    assert result.summary.sent == 0
    assert result.all_spoke


async def test_one_connection_can_carry_many_devices() -> None:
    fleet = build_fleet(30, seed=2, secret=b"s")
    async with broker_for(fleet, bridge="b") as broker:
        plan = RunPlan(
            Address("127.0.0.1", broker.port),
            rate_per_s=300.0,
            gather_s=30.0,
            for_s=1.0,
            last_words=True,
            bridge=Bridge("bridge", "b", 3),
        )
        result = await run_fleet(fleet, plan)
    assert len(broker.accepted) == 3
    assert result.summary.connected == 30
    assert result.summary.kept == result.summary.receipted > 0
    assert {device_id for device_id, _ in broker.reports} == set(fleet.device_ids)


async def test_a_run_without_an_end_ends_when_told() -> None:
    fleet = build_fleet(3, seed=1, secret=b"s")
    stop = asyncio.Event()
    async with broker_for(fleet) as broker:
        plan = RunPlan(Address("127.0.0.1", broker.port), drain_s=0.0)

        def stop_when_connected(progress: Progress) -> None:
            if progress.summary.connected == 3:
                stop.set()

        result = await run_fleet(fleet, plan, stop=stop, tell=stop_when_connected)
    assert result.summary.connected == 3


async def test_a_truth_file_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    fleet = build_fleet(3, seed=1, secret=b"s")
    plan = RunPlan(Address("127.0.0.1", 1), truth_path=tmp_path / "no" / "truth")
    with pytest.raises(OSError):
        await run_fleet(fleet, plan)
