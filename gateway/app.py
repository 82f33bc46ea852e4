"""The composition root of a gateway process: start, ready, drain, close in reverse."""

import asyncio
import gc
import json
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, NoReturn

import uvloop

from gateway import chores, telemetry
from gateway.clock import SystemClock
from gateway.health import serving
from gateway.ingest.save_states import save_states
from gateway.ports import StoreUnavailable
from gateway.settings import BadSetting, Settings
from gateway.wiring import Gateway

DRAIN_REPORTS_WITHIN_S = 4.0
"""All steps together, the last two with a second each, take less than ten: then a supervisor kills."""

DRAIN_HELLOS_WITHIN_S = 0.5
"""They were draining all the while."""

FINISH_COMMANDS_WITHIN_S = 0.8
"""They were finishing all the while; the next owner of the lane sees to all else."""

SAVE_WITHIN_S = 1.5
RELEASE_WITHIN_S = 1.0
CLOSE_WITHIN_S = 1.0

READY_LOOK_EVERY_S = 0.01

COLLECTOR_THRESHOLDS = (20_000, 20, 20)
"""With the defaults one twentieth of the CPU under load went into looking for cycles that are not there."""

log = telemetry.logger()


def main() -> NoReturn:
    """The verb `gateway`: runs until SIGTERM or SIGINT, then drains and exits with 0."""
    try:
        settings = Settings.from_environment()
    except BadSetting as error:
        sys.stderr.write(f"latchkey gateway: {error}\n")
        sys.exit(2)
    telemetry.configure_logs(settings.log_level)
    # What is loaded lives as long as the process, and batches leave no cycles: the collector may look seldom.
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    uvloop.run(run(settings))
    sys.exit(0)


async def run(settings: Settings) -> None:
    """One whole life of a gateway."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway = Gateway(settings, SystemClock())

    def reasons() -> list[str]:
        return ["stopping"] if stop.is_set() else gateway.not_ready()

    try:
        async with serving(settings.gateway_http_port, reasons) as http_port, working(gateway, stop):
            if await _ready(gateway, stop):
                sys.stdout.write(json.dumps({"event": "ready", "http_port": http_port}) + "\n")
                sys.stdout.flush()
                log.info("gateway_ready", lanes=sorted(gateway.keeper.held), http_port=http_port)
            await stop.wait()
            await drain(gateway)
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await gateway.stores.close()
    log.info("gateway_stopped")


@asynccontextmanager
async def working(gateway: Gateway, stop: asyncio.Event) -> AsyncIterator[None]:
    """Everything that runs at the same time; whichever fails ends all. Ends when the block does."""
    async with asyncio.TaskGroup() as group:
        if not await _until_stopped(chores.open_registry(gateway), stop):
            gateway.reports.drained.set()
            gateway.hellos.drained.set()
            gateway.commands.acks.drained.set()
            gateway.commands.loop.ended.set()
            yield
            return
        intakes = [
            group.create_task(intake.run())
            for intake in (gateway.reports, gateway.hellos, gateway.commands.acks)
        ]
        tasks = [
            group.create_task(work)
            for work in (
                gateway.keeper.run(),
                *(connection.run() for connection in gateway.sessions.connections),
                gateway.broker.connection.run(),
                chores.open_lanes(gateway),
                chores.look_after_redis(gateway),
                chores.beat(gateway),
                chores.sweep_silence(gateway),
                chores.trim_history(gateway),
                chores.replay_quarantine(gateway),
                chores.measure(gateway),
                chores.count_presence(gateway),
                chores.export_to_broker(gateway),
                gateway.commands.loop.run(),
                gateway.at_once.run(),
                gateway.fresh_ids.run(),
                gateway.commands.notices.run(),
                chores.hear_of_devices(gateway),
                gateway.stores.registry.follow_changes(),
                gateway.stores.device_keys.follow_changes(),
            )
        ]
        try:
            yield
        finally:
            for task in (*tasks, *intakes):
                task.cancel()


async def drain(gateway: Gateway) -> None:
    """Stops reading, stores and acknowledges what was read, saves, disconnects, gives the lanes back.
    What cannot be stored in time is not acknowledged: the broker keeps it."""
    gateway.reports.drain()
    gateway.hellos.drain()
    gateway.commands.drain()
    gateway.fresh_ids.leave()
    drained = await _within(DRAIN_REPORTS_WITHIN_S, gateway.reports.drained.wait())
    await _within(DRAIN_HELLOS_WITHIN_S, gateway.hellos.drained.wait())
    await _within(FINISH_COMMANDS_WITHIN_S, gateway.commands.finished())
    if drained:
        saving = save_states(
            sorted(gateway.keeper.held), gateway.beliefs, gateway.stores.history, gateway.clock.now_ms()
        )
        await _within(SAVE_WITHIN_S, saving)
    lanes = frozenset(gateway.keeper.held)
    gateway.sessions.leave(lanes, "stopping")
    await _within(CLOSE_WITHIN_S, gateway.sessions.closed())
    await _within(RELEASE_WITHIN_S, gateway.keeper.release())
    log.info("gateway_drained", complete=drained)


async def _ready(gateway: Gateway, stop: asyncio.Event) -> bool:
    """Waits until every lane this gateway may have receives; False when it is told to stop before."""
    keeper = gateway.keeper
    while not stop.is_set():
        if keeper.asked and not gateway.sessions.not_live(frozenset(keeper.held)):
            return True
        await asyncio.sleep(READY_LOOK_EVERY_S)
    return False


async def _until_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Whether the work was done before the stop, which cancels it."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return True
        return False
    finally:
        working.cancel()
        stopping.cancel()


async def _within(deadline_s: float, work: Coroutine[Any, Any, object]) -> bool:
    """Whether the work was done in time; a store that is away ends it too."""
    try:
        async with asyncio.timeout(deadline_s):
            await work
    except (TimeoutError, StoreUnavailable) as error:
        log.warning("drain_step_given_up", reason=type(error).__name__)
        return False
    return True
