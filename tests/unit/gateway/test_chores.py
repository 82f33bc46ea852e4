"""Chores outlive stores that do not answer."""

import asyncio
from collections.abc import Coroutine

import pytest

from firmware_protocol.messages import DeviceId
from gateway import chores, telemetry
from gateway.core.live_state import LiveState, Presence
from gateway.ingest.state_cache import CachedState
from gateway.ports import StoreUnavailable
from gateway.wiring import Gateway
from tests.support.lonely_gateway import lonely_gateway
from tests.support.waiting import until_async


async def alive_while(gateway: Gateway, chore: Coroutine[None, None, None], reason: str) -> None:
    """Runs the chore until the watch has seen its store away, and finds it still running."""
    watch = getattr(gateway.stores, reason)
    task = asyncio.create_task(chore)
    await until_async(lambda: watch.away)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    await gateway.stores.close()


async def test_the_registry_is_awaited() -> None:
    gateway = lonely_gateway()
    await alive_while(gateway, chores.open_registry(gateway), "postgres_watch")


async def test_lanes_wait_for_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = lonely_gateway()
    gateway.keeper.held[3] = 1
    gateway.lanes_to_open.put_nowait(3)
    await alive_while(gateway, chores.open_lanes(gateway), "redis_watch")


async def test_a_redis_that_is_away_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, "LOOK_AT_REDIS_EVERY_S", 0.0)
    gateway = lonely_gateway()
    gateway.keeper.held[3] = 1
    await alive_while(gateway, chores.look_after_redis(gateway), "redis_watch")


async def test_a_lane_that_does_not_receive_is_not_vouched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, "BEAT_EVERY_S", 0.0)
    gateway = lonely_gateway()
    gateway.keeper.held[3] = 1
    asked: list[frozenset[int]] = []

    def not_live(lanes: frozenset[int]) -> list[str]:
        asked.append(lanes)
        return ["connecting"]

    monkeypatch.setattr(gateway.sessions, "not_live", not_live)
    task = asyncio.create_task(chores.beat(gateway))
    await until_async(lambda: len(asked) > 2)
    # Its epoch was never asked for, which would have failed.
    assert not gateway.stores.redis_watch.away
    monkeypatch.setattr(gateway.sessions, "not_live", lambda lanes: [])
    await until_async(lambda: gateway.stores.redis_watch.away)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    await gateway.stores.close()


async def test_devices_in_memory_are_counted_by_presence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, "COUNT_EVERY_S", 0.0)
    gateway = lonely_gateway()
    gateway.keeper.held[3] = 1
    state = LiveState(1, 0, 1, 0, 0, Presence.QUIET, b"", (), (), None)
    gateway.beliefs.cache.put(3, DeviceId("bike-1"), CachedState(1, state))
    task = asyncio.create_task(chores.count_presence(gateway))
    quiet = {"presence": "quiet"}
    await until_async(lambda: telemetry.REGISTRY.get_sample_value("latchkey_devices", quiet) == 1)
    task.cancel()
    await asyncio.wait([task])


async def test_a_history_that_cannot_be_trimmed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, "FIRST_TRIM_AFTER_S", 0.0)
    gateway = lonely_gateway()
    before = telemetry.TRIMS.labels("failed")._value.get()
    task = asyncio.create_task(chores.trim_history(gateway))
    await until_async(lambda: telemetry.TRIMS.labels("failed")._value.get() > before)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    await gateway.stores.close()


async def test_marked_frames_are_taken_page_by_page_and_a_store_away_is_outlived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chores, "REPLAY_EVERY_S", 0.0)
    gateway = lonely_gateway()
    pages = [500, 3, 0]
    asked: list[int] = []

    async def replay() -> int:
        asked.append(len(asked))
        if not pages:
            raise StoreUnavailable("quarantine")
        return pages.pop(0)

    monkeypatch.setattr(gateway, "replay", replay)
    task = asyncio.create_task(chores.replay_quarantine(gateway))
    await until_async(lambda: len(asked) > 5)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


async def test_a_notice_about_devices_is_looked_into_at_once_and_a_store_away_is_outlived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = lonely_gateway()
    looked: list[str] = []

    async def registry_refresh() -> None:
        looked.append("registry")
        if len(looked) == 1:
            raise StoreUnavailable("registry")

    async def keys_refresh() -> None:
        looked.append("keys")

    monkeypatch.setattr(gateway.stores.registry, "refresh", registry_refresh)
    monkeypatch.setattr(gateway.stores.device_keys, "refresh", keys_refresh)
    task = asyncio.create_task(chores.hear_of_devices(gateway))
    gateway.commands.devices_changed.set()
    await until_async(lambda: looked == ["registry"])
    gateway.commands.devices_changed.set()
    await until_async(lambda: looked == ["registry", "registry", "keys"])
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
