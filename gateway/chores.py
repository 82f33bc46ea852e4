"""What a gateway does beside the straight lines: lanes opened, silence swept, history trimmed, Redis looked after."""

import asyncio
from contextlib import suppress

from gateway import telemetry
from gateway.backoff import next_delay_s
from gateway.core.live_state import Presence
from gateway.ingest.beliefs import LaneTrouble
from gateway.ports import FeedEpochLost, StoreUnavailable
from gateway.wiring import Gateway

SWEEP_EVERY_S = 1.0
LOOK_AT_REDIS_EVERY_S = 2.0
"""A lost Redis is rebuilt within seconds even while no device reports."""

BEAT_EVERY_S = 2.5
"""The store decides which shards were silent for long enough; half that time keeps them on time."""

REPLAY_EVERY_S = 2.0
"""A person who marked frames sees within seconds what became of them."""

FIRST_TRIM_AFTER_S = 5.0
TRIM_EVERY_S = 1800.0
TRIM_AGAIN_AFTER_S = 60.0
MEASURE_EVERY_S = 0.5
COUNT_EVERY_S = 15.0

log = telemetry.logger()


async def open_registry(gateway: Gateway) -> None:
    """Waits for PostgreSQL and its schema; returns once the models are known."""
    attempt = 0
    while True:
        try:
            await gateway.stores.postgres_watch.call("models", gateway.stores.registry.open())
            break
        except StoreUnavailable:
            await asyncio.sleep(next_delay_s(attempt, gateway.chance, first_s=0.1, cap_s=2.0))
            attempt += 1
    # The first batch and the first order would do it too: this only spares them the time.
    with suppress(StoreUnavailable):
        await gateway.stores.postgres_history.open(gateway.clock.now_ms())
        await gateway.stores.commands.open()


async def open_lanes(gateway: Gateway) -> None:
    """For every lane taken: its live states are made whole where they were lost, then its silent devices are
    watched."""
    while True:
        lane = await gateway.lanes_to_open.get()
        attempt = 0
        while lane in gateway.keeper.held:
            try:
                await gateway.beliefs.epoch(lane)
                await gateway.sweep.take_over(lane)
                break
            except StoreUnavailable:
                await asyncio.sleep(next_delay_s(attempt, gateway.chance, first_s=0.1, cap_s=2.0))
                attempt += 1


async def look_after_redis(gateway: Gateway) -> None:
    """Finds shards that Redis lost, and has them rebuilt."""
    while True:
        await asyncio.sleep(LOOK_AT_REDIS_EVERY_S)
        try:
            for lane in sorted(gateway.keeper.held):
                if await gateway.stores.live_states.epoch(lane) is None:
                    gateway.beliefs.drop(lane)
                    await gateway.beliefs.epoch(lane)
                    await gateway.sweep.take_over(lane)
        except StoreUnavailable:
            # The watch has told; the next look finds out.
            continue


async def beat(gateway: Gateway) -> None:
    """Tells map readers that silent shards are silent because nothing changed. A lane that does not receive, or
    whose reports wait, says nothing: its map is old."""
    while True:
        await asyncio.sleep(BEAT_EVERY_S)
        lanes = [] if gateway.reports.failure else sorted(gateway.keeper.held)
        try:
            epochs = {
                lane: await gateway.beliefs.epoch(lane)
                for lane in lanes
                if not gateway.sessions.not_live(frozenset((lane,)))
            }
            if epochs:
                await gateway.stores.live_states.beat(epochs)
        except (StoreUnavailable, FeedEpochLost):
            # The look at Redis mends what was lost, and the watch tells what is away.
            continue


async def hear_of_devices(gateway: Gateway) -> None:
    """A device that is suspended, or whose keys changed, is known at once; the polls heal a notice that was lost."""
    stores = gateway.stores
    while True:
        await gateway.commands.devices_changed.wait()
        gateway.commands.devices_changed.clear()
        if gateway.broker_export is not None:
            gateway.broker_export.wake()
        with suppress(StoreUnavailable):
            await stores.registry.refresh()
            await stores.device_keys.refresh()


async def export_to_broker(gateway: Gateway) -> None:
    """Keeps the broker's list of who may connect true, where this gateway was told to; complains of keys it cannot
    open."""
    with suppress(StoreUnavailable):
        for by, count in (await gateway.stores.device_keys.unknown_wrappings()).items():
            log.error("device_keys_unreadable", key_encryption_key=by, devices=count)
    if gateway.broker_export is not None:
        await gateway.broker_export.run()


async def sweep_silence(gateway: Gateway) -> None:
    """Finds devices that went quiet or were lost."""
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        try:
            await gateway.sweep.sweep()
        except (StoreUnavailable, LaneTrouble):
            # Those it could not judge come up again by themselves.
            continue


async def trim_history(gateway: Gateway) -> None:
    """Partitions ahead, retention, bounds of the quarantine."""
    delay_s = FIRST_TRIM_AFTER_S
    while True:
        await asyncio.sleep(delay_s)
        try:
            trimmed = await gateway.stores.postgres_history.trim(gateway.clock.now_ms())
            commands = await gateway.stores.commands.trim(gateway.clock.now_ms())
            await gateway.stores.broker_lists.trim()
        except StoreUnavailable as error:
            telemetry.TRIMS.labels("failed").inc()
            log.warning("history_not_trimmed", reason=str(error)[:200])
            delay_s = TRIM_AGAIN_AFTER_S
            continue
        telemetry.TRIMS.labels("done").inc()
        log.info(
            "history_trimmed",
            partitions_made=trimmed.partitions_made,
            partitions_dropped=trimmed.partitions_dropped,
            quarantined=trimmed.quarantined,
            commands=commands,
        )
        delay_s = TRIM_EVERY_S


async def replay_quarantine(gateway: Gateway) -> None:
    """Takes in the frames that a person marked, page by page."""
    while True:
        try:
            replayed = await gateway.replay()
        except StoreUnavailable:
            # They stay marked.
            replayed = 0
        if replayed:
            log.info("quarantine_replayed", frames=replayed)
        else:
            await asyncio.sleep(REPLAY_EVERY_S)


async def count_presence(gateway: Gateway) -> None:
    """How many devices are online, quiet and lost, of those whose state is in memory."""
    while True:
        await asyncio.sleep(COUNT_EVERY_S)
        found = dict.fromkeys(Presence, 0)
        for lane in sorted(gateway.keeper.held):
            for cached in list(gateway.beliefs.cache.of_shard(lane)):
                if cached.state is not None:
                    found[cached.state.presence] += 1
            # A lane of 15,000 devices takes two milliseconds; reports come in between.
            await asyncio.sleep(0)
        for presence, count in found.items():
            telemetry.DEVICES.labels(presence.name.lower()).set(count)


async def measure(gateway: Gateway) -> None:
    """Gauges that no batch sets, so that they move while none comes through."""
    while True:
        gateway.broker_disk.look()
        telemetry.PENDING_REPORTS.set(gateway.reports.pending)
        telemetry.PENDING_BYTES.set(gateway.reports.pending_bytes)
        telemetry.COMMIT_LAG.set(gateway.reports.waiting_ms() / 1000)
        await asyncio.sleep(MEASURE_EVERY_S)
