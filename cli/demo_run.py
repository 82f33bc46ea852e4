"""One demo from start to summary: servers, gateway, API, fleet, and a map client that measures."""

import asyncio
import json
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg
import uvloop
from rich.console import Console

from cli import running
from cli.child_process import ChildProcess
from cli.demo_fleet import HAND_DEVICE, HAND_PASSWORD, Prepared, prepare, public_ids
from cli.demo_words import Addresses, DemoSummary, hand_line, order_line
from cli.map_watch import MapWatch
from cli.page import ensure_page
from cli.running import DEMO_FOLDER
from cli.stack import Stack
from device_sim.driver import Address
from device_sim.live_summary import LiveSummary
from device_sim.run import RunPlan, RunResult, run_fleet
from device_sim.scenario import Scenario
from device_sim.trip_count import TripCount

WATCH_PERIOD_S = 0.5
"""Whether gateway and API are still there."""
GATHER_S = 60.0
"""At the start, for every device to be connected: one that rides before it has a network reports late."""
DRAIN_S = 5.0
"""At the end, for confirmations that are out: a device whose simulated network is away may not come back sooner."""
RENAMED_S = 2.0
"""Bikes that are used go by other ids on the map; so long it takes to know them again."""
SHOWN_DEADLINE_S = 5.0
"""At the end, for every device that was connected to be on the map."""
SHOWN_POLL_S = 0.02
SETTLE_DEADLINE_S = 20.0
"""At the end, for what the broker confirmed last to be stored."""
STANDSTILL_S = 5.0
"""Without a new row in that time nothing more is on its way."""


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What was asked for."""

    scenario: Scenario
    rate_per_s: float | None
    speed: float | None
    for_s: float | None
    profile: str
    port: int
    folder: Path = DEMO_FOLDER
    """Of the servers' data, and of the logs."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What became of the reports that came in."""

    stored: int
    quarantined: int


def run_demo(plan: DemoPlan, json_file: Path | None) -> int:
    """Runs until its time is up or somebody stops it; the exit code."""
    console = Console(soft_wrap=True, highlight=False)
    page = ensure_page()
    fleet = plan.scenario.fleet
    if plan.scenario.file is not None:
        console.print(plan.scenario.file.text(), markup=False)
    console.print(f"latchkey: starting private servers for {len(fleet)} devices")
    with ExitStack() as until_the_end:
        stack = until_the_end.enter_context(Stack.started(plan.folder))
        prepared = prepare(stack, fleet)
        console.print(prepared.history_line)
        environment = stack.environment(dsn=prepared.dsn) | settings_of(plan.port, page) | stack.exporting()
        children = gateway, api = _start_children(until_the_end, environment, stack.root / "processes")
        stack.broker.wait_until_let_in(HAND_DEVICE, HAND_PASSWORD)
        api_url = f"http://127.0.0.1:{api.http_port}"
        until_the_end.enter_context(running.announced(DEMO_FOLDER, environment | {running.API_URL: api_url}))
        token = stack.token("operator_admin")
        addresses = Addresses(api.http_port, stack.broker.device_port, stack.root, gateway.http_port, token)
        console.print(addresses.text())
        console.print(
            hand_line(stack.broker.device_port, HAND_DEVICE, HAND_PASSWORD, fleet.places[0]), markup=False
        )
        console.print(order_line(fleet.device_ids, fleet.profiles), markup=False)
        area = fleet.town.area
        box = (area.west, area.south, area.east, area.north)
        watch = MapWatch(addresses.websocket, box, token=token)
        address = Address("127.0.0.1", stack.broker.device_port)
        result = uvloop.run(_live(plan, address, watch, console, prepared=prepared, children=children))
        until_the_end.enter_context(_deaf_to_ctrl_c())
        ended = [child for child in children if not child.running]
        rows = settled_rows(prepared.dsn, result.summary.acked)
    summary = summarize(
        result, watch, rows, page=addresses.plain_page, profile=plan.profile, replay=plan.scenario.file
    )
    console.print(summary.text(), markup=False)
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(summary), indent=2) + "\n", encoding="utf-8")
    for child in ended:
        console.print(
            f"latchkey: {child.name} ended by itself; its log ends with:\n{child.log_tail()}", markup=False
        )
    if ended:
        return 1
    # Without a set time somebody stopped it, however early.
    return 0 if plan.for_s is None or (summary.sent and summary.connected) else 1


def settings_of(port: int, page: Path) -> dict[str, str]:
    """What gateway and API of a demo are told beside where their servers are."""
    return {
        "LATCHKEY_API_PORT": str(port),
        "LATCHKEY_WEB_DIR": str(page),
        # A small fleet at a high rate says more per device than real ones may; its reports are to be kept all.
        "LATCHKEY_REPORTS_PER_DEVICE": "0",
    }


def _start_children(
    until_the_end: ExitStack, environment: dict[str, str], logs: Path
) -> tuple[ChildProcess, ChildProcess]:
    """Gateway and API, ready."""
    shutil.rmtree(logs, ignore_errors=True)
    gateway, api = (ChildProcess([verb], environment, logs) for verb in ("gateway", "api"))
    for child in (gateway, api):
        until_the_end.callback(child.close)
        child.start_without_waiting()
    for child in (gateway, api):
        child.wait_ready()
    return gateway, api


async def _live(
    plan: DemoPlan,
    broker: Address,
    watch: MapWatch,
    console: Console,
    *,
    prepared: Prepared,
    children: Sequence[ChildProcess],
) -> RunResult:
    """The fleet lives and the map is watched until time is up, Ctrl-C or SIGTERM, or one of the children ends."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    beside = [
        asyncio.create_task(work)
        for work in (watch.run(), _know_whom_to_time(watch, prepared), _stop_without(children, stop))
    ]
    run = RunPlan(
        broker, rate_per_s=plan.rate_per_s, for_s=plan.for_s, profile=plan.profile, speed=plan.speed,
        trips=plan.scenario.trips, starts_ms=plan.scenario.starts_ms, gather_s=GATHER_S, drain_s=DRAIN_S,
        keys=prepared.keys,
    )  # fmt: skip
    try:
        with LiveSummary(console) as live:
            result = await run_fleet(plan.scenario.fleet, run, stop=stop, tell=live.tell)
        await _shown(watch, result.summary.connected)
        return result
    finally:
        for task in beside:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _stop_without(children: Sequence[ChildProcess], stop: asyncio.Event) -> None:
    """Nothing is stored without a gateway or shown without an API: then there is nothing to wait for."""
    while all(child.running for child in children):
        await asyncio.sleep(WATCH_PERIOD_S)
    stop.set()


async def _shown(watch: MapWatch, devices: int) -> None:
    """The map may be a moment behind the fleet, and the summary counts what it showed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(SHOWN_DEADLINE_S):
            while len(watch.devices) < devices and not watch.refused:
                await asyncio.sleep(SHOWN_POLL_S)


async def _know_whom_to_time(watch: MapWatch, prepared: Prepared) -> None:
    """Until it is cancelled."""
    while True:
        # While it is away nobody is timed anew; the next look tells.
        with suppress(psycopg.Error):
            watch.timed = await asyncio.to_thread(public_ids, prepared.dsn, prepared.timed)
        await asyncio.sleep(RENAMED_S)


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """The end takes seconds; Ctrl-C a second time must not leave half of it running."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def settled_rows(dsn: str, acked: int) -> Rows:
    """Rows in history and frames in quarantine, once what the broker confirmed is in, or nothing more comes."""
    rows = Rows(-1, 0)
    began_s = grew_s = time.monotonic()
    with psycopg.connect(dsn, autocommit=True) as connection:
        while True:
            row = connection.execute(
                "select (select count(*) from report_all), (select count(*) from quarantine)"
            ).fetchone()
            assert row is not None
            before, rows, now_s = rows, Rows(int(row[0]), int(row[1])), time.monotonic()
            if rows != before:
                grew_s = now_s
            in_or_late = rows.stored + rows.quarantined >= acked or now_s > began_s + SETTLE_DEADLINE_S
            if in_or_late or now_s > grew_s + STANDSTILL_S:
                return rows
            time.sleep(0.1)


def summarize(
    result: RunResult,
    watch: MapWatch,
    rows: Rows,
    *,
    page: str,
    profile: str,
    replay: TripCount | None = None,
) -> DemoSummary:
    fleet = result.summary
    return DemoSummary(
        devices=fleet.devices,
        connected=fleet.connected,
        sent=fleet.sent,
        confirmed=fleet.acked,
        profile=profile,
        stored=rows.stored,
        quarantined=rows.quarantined,
        kept=fleet.kept,
        receipted=fleet.receipted,
        seconds=fleet.seconds,
        page=page,
        map_devices=len(watch.devices),
        map_changes=watch.changes,
        p50_ms=watch.lags.percentile_ms(0.5),
        p99_ms=watch.lags.percentile_ms(0.99),
        map_refused=watch.refused,
        replay=replay,
    )
