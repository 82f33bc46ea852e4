"""The two stores every batch needs, timed, and with their last word remembered."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

from firmware_protocol.messages import DeviceId
from gateway import telemetry
from gateway.core.live_state import LiveState
from gateway.ports import (
    Appended,
    Clock,
    HistoryBatch,
    HistoryStore,
    LiveStates,
    ShardSteps,
    StatePage,
    StoreUnavailable,
)

Answer = TypeVar("Answer")

log = telemetry.logger()


class Watch:
    """Times the calls to one store and knows whether it answered the last one."""

    def __init__(self, store: str, clock: Clock) -> None:
        self.away = ""
        """Why the last call failed; empty when it did not."""
        self._store = store
        self._clock = clock
        telemetry.STORE_AWAY.labels(store).set(0)

    async def call(self, name: str, answer: Awaitable[Answer]) -> Answer:
        """Awaits the answer; StoreUnavailable passes through."""
        began_s = self._clock.monotonic_s()
        try:
            given = await answer
        except StoreUnavailable as error:
            self._note(str(error) or "no answer")
            raise
        telemetry.series(telemetry.STORE_SECONDS, name).observe(self._clock.monotonic_s() - began_s)
        if self.away:
            self._note("")
        return given

    def _note(self, away: str) -> None:
        if bool(away) != bool(self.away):
            telemetry.STORE_AWAY.labels(self._store).set(bool(away))
            if away:
                log.error("store_lost", store=self._store, reason=away[:200])
            else:
                log.info("store_answered_again", store=self._store)
        self.away = away


class WatchedHistory:
    """Implements `ports.HistoryStore`."""

    def __init__(self, history: HistoryStore, watch: Watch) -> None:
        self._history = history
        self._watch = watch

    async def append(self, batch: HistoryBatch) -> Appended:
        return await self._watch.call("append", self._history.append(batch))


class WatchedLiveStates:
    """Implements `ports.LiveStates`."""

    def __init__(self, live_states: LiveStates, watch: Watch) -> None:
        self._live_states = live_states
        self._watch = watch

    async def epoch(self, shard: int) -> str | None:
        return await self._watch.call("epoch", self._live_states.epoch(shard))

    async def rebuild(self, shard: int, epoch: str, states: Mapping[DeviceId, LiveState]) -> None:
        await self._watch.call("rebuild", self._live_states.rebuild(shard, epoch, states))

    async def give_up(self, shard: int, epoch: str) -> None:
        await self._watch.call("give_up", self._live_states.give_up(shard, epoch))

    async def load(self, by_shard: Mapping[int, Sequence[DeviceId]]) -> Mapping[DeviceId, LiveState]:
        return await self._watch.call("load", self._live_states.load(by_shard))

    async def page(self, shard: int, cursor: int = 0) -> StatePage:
        return await self._watch.call("page", self._live_states.page(shard, cursor))

    def pack(self, part: ShardSteps) -> ShardSteps:
        return self._live_states.pack(part)

    async def advance(self, shards: Sequence[ShardSteps]) -> frozenset[DeviceId]:
        return await self._watch.call("advance", self._live_states.advance(shards))

    async def beat(self, epochs: Mapping[int, str]) -> None:
        await self._watch.call("beat", self._live_states.beat(epochs))
