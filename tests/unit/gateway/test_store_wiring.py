"""The stores of a gateway, without servers."""

import pytest

from gateway.clock import SystemClock
from gateway.ports import StoreUnavailable
from gateway.settings import Settings
from gateway.store_wiring import Stores
from tests.support.lonely_gateway import lonely_environment


async def test_a_store_that_does_not_answer_is_noted_by_its_watch_and_closing_waits_for_none() -> None:
    stores = Stores(Settings.from_environment(lonely_environment()), SystemClock())
    for ask, watch in (
        (stores.live_states.epoch(3), stores.redis_watch),
        (stores.postgres_watch.call("open", stores.registry.open()), stores.postgres_watch),
    ):
        assert not watch.away
        with pytest.raises(StoreUnavailable):
            await ask
        assert watch.away
    await stores.close()
