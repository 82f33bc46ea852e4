"""A device of a model that was registered a moment ago."""

from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from firmware_protocol.messages import DeviceId
from gateway.clock import SystemClock
from gateway.core.device import DeviceRecord, Status
from gateway.stores.registry import PostgresRegistry
from tests.support.stored import BIKE, ask, register

NOBODY = DeviceId("nobody")


@pytest.fixture
async def registry(database: str) -> AsyncIterator[PostgresRegistry]:
    store = PostgresRegistry(database, SystemClock())
    await store.open()
    yield store
    await store.close()


async def newest(registry: PostgresRegistry) -> DeviceRecord:
    return (await registry.load([NOBODY]))[NOBODY]


async def test_a_device_is_never_known_before_its_model(registry: PostgresRegistry, database: str) -> None:
    fresh = structs.replace(BIKE, model="bike-of-today")
    register(database, NOBODY, model=fresh)
    assert (await newest(registry)).model == fresh.model
    assert registry.model(fresh.model) == fresh


async def test_a_change_while_its_model_is_read_is_not_missed(
    registry: PostgresRegistry, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a device was kept as it had been before, and no later refresh named it again."""
    register(database, NOBODY, model=structs.replace(BIKE, model="bike-of-today"))
    load_models = registry._load_models

    async def and_meanwhile() -> None:
        monkeypatch.setattr(registry, "_load_models", load_models)
        await load_models()
        ask(database, "update device set status = 3 where device_id = %s", [NOBODY])
        await registry.refresh()

    monkeypatch.setattr(registry, "_load_models", and_meanwhile)
    assert (await newest(registry)).status is Status.SUSPENDED
