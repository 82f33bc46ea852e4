"""What is saved at the end, so that a rebuild need not read far back."""

from collections.abc import Iterable
from itertools import chain

from gateway.ingest.beliefs import Beliefs, unsaved
from gateway.ports import HistoryBatch, HistoryStore, LastReport

MAX_SAVED = 2_000
"""Rows per transaction: a drain can stop between any two."""


async def save_states(shards: Iterable[int], beliefs: Beliefs, history: HistoryStore, now_ms: int) -> int:
    """Writes `last_report` of every cached device that changed since, as of `now_ms` (Unix ms); returns how many.
    Raises StoreUnavailable: nothing is lost then, a rebuild only reads more history."""
    # A snapshot: other flows may still change the cache between two transactions. Of all shards together: a drain has
    # no time for a transaction each.
    waiting = list(unsaved(chain.from_iterable(map(beliefs.cache.of_shard, shards))))
    for first in range(0, len(waiting), MAX_SAVED):
        some = waiting[first : first + MAX_SAVED]
        states = [(one, one.state) for one in some if one.state is not None]
        last_reports = [LastReport(one.device_no, state, now_ms) for one, state in states]
        await history.append(HistoryBatch(rows=(), doubtful=(), last_reports=last_reports))
        for one, state in states:
            one.saved_revision = state.revision
    return len(waiting)
