"""A store's last word is remembered until the next."""

import pytest

from gateway.ports import Appended, HistoryBatch, StoreUnavailable
from gateway.telemetry import REGISTRY
from gateway.watched_stores import Watch, WatchedHistory
from tests.support.fakes.clock import FakeClock

EMPTY = HistoryBatch(rows=(), doubtful=())


class History:
    """Answers only while it is here."""

    here = True

    async def append(self, batch: HistoryBatch) -> Appended:
        if not self.here:
            raise StoreUnavailable("history: frozen")
        return Appended(0, frozenset())


def away() -> float | None:
    return REGISTRY.get_sample_value("latchkey_store_away", {"store": "postgres"})


async def test_a_store_is_away_from_its_first_failure_to_its_next_answer() -> None:
    history, watch = History(), Watch("postgres", FakeClock())
    watched = WatchedHistory(history, watch)
    assert await watched.append(EMPTY) == Appended(0, frozenset())
    assert (watch.away, away()) == ("", 0)
    history.here = False
    with pytest.raises(StoreUnavailable):
        await watched.append(EMPTY)
    assert (watch.away, away()) == ("history: frozen", 1)
    history.here = True
    await watched.append(EMPTY)
    assert (watch.away, away()) == ("", 0)
