"""A gateway process starts without its servers, says so, and stops when it is told."""

import asyncio
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from cli.child_process import ChildProcess
from cli.stack import inherited_environment
from gateway import chores
from gateway.app import working
from gateway.wiring import Gateway
from tests.support.lonely_gateway import lonely_environment, lonely_gateway
from tests.support.waiting import until


def test_a_gateway_without_servers_waits_for_them_and_stops_at_once(tmp_path: Path) -> None:
    process = ChildProcess(["gateway"], inherited_environment() | lonely_environment(), tmp_path)
    process.start_without_waiting()
    try:
        until(lambda: "store_lost" in process.log_tail())
        assert process.running
        assert process.stop() == 0
        assert "gateway_stopped" in process.log_tail()
    finally:
        process.close()


def test_a_wrong_setting_is_one_line_and_exit_code_2() -> None:
    environment = inherited_environment() | lonely_environment() | {"LATCHKEY_MQTT_PORT": "x"}
    done = subprocess.run(
        [sys.executable, "-m", "cli", "gateway"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "LATCHKEY_MQTT_PORT" in done.stderr


async def test_no_part_that_the_wiring_made_is_left_standing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def opened(_: Gateway) -> None:
        return None

    monkeypatch.setattr(chores, "open_registry", opened)
    gateway = lonely_gateway()
    parts = [*vars(gateway).values(), *vars(gateway.commands).values(), gateway.broker.connection]
    having = {type(part).run for part in parts if inspect.iscoroutinefunction(getattr(part, "run", None))}
    assert len(having) > 5
    async with working(gateway, asyncio.Event()):
        running = {getattr(task.get_coro(), "cr_code", None) for task in asyncio.all_tasks()}
    assert sorted(run.__qualname__ for run in having if run.__code__ not in running) == []
