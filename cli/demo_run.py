"""One demo from start to summary: servers, gateway, API, fleet, and a map client that measures."""

import asyncio
import json
import shutil
import signal
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg
import uvloop
from rich.console import Console

from cli.child_process import ChildProcess
from cli.demo_fleet import HAND_DEVICE, HAND_PASSWORD, prepare
from cli.demo_words import Addresses, DemoSummary, hand_line
from cli.map_watch import MapWatch
from cli.page import ensure_page
from cli.stack import STATE_FOLDER, Stack
from device_sim.driver import Address
from device_sim.live_summary import LiveSummary
from device_sim.run import RunPlan, RunResult, run_fleet
from device_sim.scenario import Scenario

DEMO_FOLDER = STATE_FOLDER / "demo"
SETTLE_DEADLINE_S = 20.0
"""At the end, for what the broker confirmed last to be stored."""


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What was asked for."""

    scenario: Scenario
    rate_per_s: float | None
    speed: float | None
    for_s: float | None
    profile: str
    port: int


def run_demo(plan: DemoPlan, json_file: Path | None) -> int:
    """Runs until its time is up or somebody stops it; the exit code."""
    console = Console()
    page = ensure_page()
    fleet = plan.scenario.fleet
    console.print(f"latchkey: starting private servers for {len(fleet)} devices", highlight=False)
    with ExitStack() as until_the_end:
        stack = until_the_end.enter_context(Stack.started(DEMO_FOLDER))
        dsn, history_line = prepare(stack, fleet)
        console.print(history_line, highlight=False)
        environment = stack.environment(dsn=dsn, LATCHKEY_API_PORT=str(plan.port), LATCHKEY_WEB_DIR=str(page))
        api = _start_children(until_the_end, environment, stack.root / "processes")
        addresses = Addresses(api.http_port, stack.broker.device_port, stack.root)
        console.print(addresses.text(), highlight=False)
        by_hand = hand_line(stack.broker.device_port, HAND_DEVICE, HAND_PASSWORD, fleet.places[0])
        console.print(by_hand, highlight=False, soft_wrap=True, markup=False)
        area = fleet.town.area
        watch = MapWatch(addresses.websocket, (area.west, area.south, area.east, area.north))
        result = uvloop.run(_live(plan, Address("127.0.0.1", stack.broker.device_port), watch, console))
        stored, quarantined = _settled_counts(dsn, result.summary.acked)
    summary = _summary(result, watch, addresses.page, stored, quarantined)
    console.print(summary.text(), highlight=False)
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(summary), indent=2) + "\n", encoding="utf-8")
    return 0 if summary.sent and summary.connected else 1


def _start_children(until_the_end: ExitStack, environment: dict[str, str], logs: Path) -> ChildProcess:
    """Gateway and API, ready; the API is returned."""
    shutil.rmtree(logs, ignore_errors=True)
    gateway, api = (ChildProcess([verb], environment, logs) for verb in ("gateway", "api"))
    for child in (gateway, api):
        until_the_end.callback(child.close)
        child.start_without_waiting()
    for child in (gateway, api):
        child.wait_ready()
    return api


async def _live(plan: DemoPlan, broker: Address, watch: MapWatch, console: Console) -> RunResult:
    """The fleet lives and the map is watched until time is up, Ctrl-C or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watching = asyncio.create_task(watch.run())
    run = RunPlan(
        broker, rate_per_s=plan.rate_per_s, for_s=plan.for_s, profile=plan.profile, speed=plan.speed,
        trips=plan.scenario.trips, starts_ms=plan.scenario.starts_ms,
    )  # fmt: skip
    try:
        with LiveSummary(console) as live:
            return await run_fleet(plan.scenario.fleet, run, stop=stop, tell=live.tell)
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def _settled_counts(dsn: str, acked: int) -> tuple[int, int]:
    """Rows in history and frames in quarantine, once what the broker confirmed is in, or nothing more comes."""
    deadline_s = time.monotonic() + SETTLE_DEADLINE_S
    with psycopg.connect(dsn, autocommit=True) as connection:
        while True:
            row = connection.execute(
                "select (select count(*) from report_all), (select count(*) from quarantine)"
            ).fetchone()
            assert row is not None
            stored, quarantined = int(row[0]), int(row[1])
            if stored + quarantined >= acked or time.monotonic() > deadline_s:
                return stored, quarantined
            time.sleep(0.1)


def _summary(result: RunResult, watch: MapWatch, page: str, stored: int, quarantined: int) -> DemoSummary:
    fleet = result.summary
    return DemoSummary(
        devices=fleet.devices,
        connected=fleet.connected,
        sent=fleet.sent,
        confirmed=fleet.acked,
        stored=stored,
        quarantined=quarantined,
        kept=fleet.kept,
        receipted=fleet.receipted,
        seconds=fleet.seconds,
        page=page,
        map_devices=len(watch.devices),
        map_changes=watch.changes,
        p50_ms=watch.lag_ms(0.5),
        p99_ms=watch.lag_ms(0.99),
    )
