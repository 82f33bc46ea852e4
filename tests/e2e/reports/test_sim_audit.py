"""A simulated fleet through the whole of it: what the devices know is what history, live state and map say."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from cli.stack import Stack
from device_sim.audit import history_differences
from device_sim.audit_reader import Api, audit_until_settled, read_devices
from device_sim.driver import Address
from device_sim.fleet import Fleet, build_fleet
from device_sim.run import RunPlan, RunResult, run_fleet
from gateway.core.device import DeviceModel, Kind
from gateway.stores.registration import NewDevice, bulk_register
from tests.support.processes import running

pytestmark = pytest.mark.e2e

DEVICES = 120


def register(dsn: str, fleet: Fleet) -> None:
    """The fleet's models and devices, as the demo does it."""
    models = [
        DeviceModel(
            model=model.model,
            kind=Kind[model.kind.upper()],
            heartbeat_s=model.heartbeat_s,
            quiet_after_s=model.quiet_after_s,
            lost_after_s=model.lost_after_s,
            battery_low_pct=model.battery_low_pct,
            slot_count=model.slot_count,
        )
        for model in fleet.models()
    ]
    devices = [
        NewDevice(
            device_id=device.device_id,
            model=device.model,
            home_lat_e7=device.home_lat_e7,
            home_lon_e7=device.home_lon_e7,
        )
        for device in fleet.devices()
    ]
    with psycopg.connect(dsn) as connection:
        bulk_register(connection, models, devices)


@pytest.fixture
def fleet(stack: Stack, database: str) -> Fleet:
    group = build_fleet(DEVICES, seed=11, secret=b"audit")
    register(database, group)
    stack.broker.set_devices({device.device_id: device.password for device in group.devices()})
    return group


@pytest.fixture
def api_url(stack: Stack, database: str, redis_url: str, fleet: Fleet, tmp_path: Path) -> Iterator[Api]:
    environment = stack.environment(dsn=database)
    with (
        running("gateway", environment, tmp_path),
        running("api", environment, tmp_path) as api,
    ):
        yield Api(f"http://127.0.0.1:{api.http_port}", stack.token("operator_admin"))


@pytest.mark.parametrize("profile", ["none", "shuffled"])
async def test_the_gateway_believes_what_the_devices_know(
    stack: Stack, database: str, fleet: Fleet, api_url: Api, profile: str
) -> None:
    plan = RunPlan(
        Address("127.0.0.1", stack.broker.device_port),
        rate_per_s=500.0,
        gather_s=60.0,
        for_s=2.0,
        profile=profile,
        kept_share=0.1,
        last_words=True,
        drain_s=60.0,
    )
    result = await run_fleet(fleet, plan)
    assert result.summary.sent > DEVICES
    assert result.summary.kept == result.summary.receipted > DEVICES / 2
    found = await audit_until_settled(api_url, fleet.town.area, result)
    assert [str(difference) for difference in found] == []
    if profile == "none":
        await a_planted_loss_is_found(database, api_url, result)


async def a_planted_loss_is_found(database: str, api_url: Api, result: RunResult) -> None:
    """One stored row is deleted behind everybody's back: an audit that stays silent would be worth nothing."""
    truth = next(truth for truth in result.truths if truth.receipted)
    boot, seq = min(truth.receipted)
    await asyncio.to_thread(delete_row, database, (truth.device_id, boot, seq))
    seen = await read_devices(api_url, [truth.device_id], now=datetime.now(UTC))
    found = history_differences(truth, seen[truth.device_id].history)
    assert [difference.what for difference in found] == ["receipted but not in history"]


def delete_row(dsn: str, key: tuple[str, int, int]) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "delete from report using device where report.device_no = device.device_no"
            " and device.device_id = %s and report.boot = %s and report.seq = %s",
            key,
        )
