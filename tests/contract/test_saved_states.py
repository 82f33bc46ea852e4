"""The saved state of one device can be read while Redis is away."""

from gateway.core.live_state import LiveState, Presence
from gateway.ports import HistoryBatch, LastReport
from gateway.stores.history import PostgresHistory
from gateway.stores.reading_pool import ReadingPool
from gateway.stores.saved_states import PostgresSavedStates
from tests.support.stored import NOW_MS, register

STATE = LiveState(5, 7, 9, NOW_MS, NOW_MS, Presence.ONLINE, b"frame", ((6, NOW_MS),), (), None)


async def test_a_saved_state_is_read_as_it_was_and_an_absent_one_is_absent(database: str) -> None:
    register(database, "bike-a", "bike-b")
    history, pool = PostgresHistory(database), ReadingPool(database)
    await pool.open()
    await history.append(HistoryBatch((), (), last_reports=[LastReport(1, STATE, NOW_MS)]))
    states = PostgresSavedStates(pool)
    assert await states.saved(1) == STATE
    assert await states.saved(2) is None
    await history.close()
    await pool.close()
