"""The API starts whatever is away, and closes what it opened."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.app import StatesOfRedis, opened_world
from api.settings import Settings
from firmware_protocol.messages import DeviceId
from gateway.key_wrapping import new_key_encryption_key
from gateway.ports import StoreUnavailable
from tests.support.waiting import until_async
from tests.unit.api.live.entries import entry
from tests.unit.api.surface import serving

NOWHERE = Settings.from_environment(
    {
        "LATCHKEY_POSTGRES_DSN": "postgresql://127.0.0.1:1/none",
        "LATCHKEY_REDIS_URL": "redis://127.0.0.1:1/0",
        "LATCHKEY_KEY_ENCRYPTION_KEY": new_key_encryption_key("nowhere"),
    }
)
CHECKOUT = Path(__file__).parents[3]


async def test_without_any_store_the_world_opens_says_why_it_is_stale_and_closes() -> None:
    defects: list[str] = []
    async with opened_world(NOWHERE, on_defect=lambda: defects.append("task")) as world:
        await until_async(lambda: "out of reach" in world.relay.trouble)
        assert world.relay.is_stale
        with pytest.raises(StoreUnavailable):
            await world.states.get(DeviceId("d1"))
    assert not defects


async def test_one_state_is_read_out_of_the_store_of_all() -> None:
    async with serving() as surface:
        await surface.put(entry(1))
        states = StatesOfRedis(surface.redis)
        found = await states.get(DeviceId("d1"))
        assert found is not None
        assert found.entry == entry(1)
        assert await states.get(DeviceId("d2")) is None


def test_wrong_settings_end_with_code_2_and_the_name_of_the_variable() -> None:
    environment = {"PATH": os.environ["PATH"], "LATCHKEY_POSTGRES_DSN": "postgresql://db"}
    done = subprocess.run(
        [sys.executable, "-c", "from api.app import main; main()"],
        env=environment,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "LATCHKEY_REDIS_URL" in done.stderr
