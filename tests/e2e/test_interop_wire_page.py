"""The two examples of docs/wire.md, word for word: whoever copies them is heard."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.child_process import ChildProcess
from cli.stack import CHECKOUT, Stack
from firmware_protocol.messages import DeviceId
from tests.support.gateway_rig import GatewayRig
from tests.support.processes import bearer
from tests.support.waiting import until

pytestmark = pytest.mark.e2e

DEVICE = DeviceId("bike-000123")
SECRET = "a password of 28 characters."
WIRE = (CHECKOUT / "docs" / "wire.md").read_text()


def example(language: str, stack: Stack) -> str:
    """The first code block of that language, its placeholders filled in."""
    (block, *_) = re.findall(rf"^```{language}\n(.*?)^```$", WIRE, re.DOTALL | re.MULTILINE)
    secret = f"'{SECRET}'" if language == "sh" else SECRET
    filled = block.replace("PASSWORD", secret).replace("HOST", "127.0.0.1")
    return re.sub(r"\bPORT\b", str(stack.broker.device_port), filled)


class World:
    """A gateway and an API."""

    def __init__(self, rig: GatewayRig, api: ChildProcess) -> None:
        self.rig = rig
        self._api = api

    def believed(self) -> dict[str, Any]:
        """What the API tells of the device."""
        address = f"http://127.0.0.1:{self._api.http_port}/v1/devices/{DEVICE}"
        request = urllib.request.Request(address, headers=bearer(self._api))
        with urllib.request.urlopen(request, timeout=30) as answer:
            told: dict[str, Any] = json.load(answer)
            return told

    def wait_heard(self, reports: int) -> dict[str, Any]:
        """What is believed after so many reports."""
        self.rig.wait_stored(reports)
        until(lambda: self.believed()["presence"] == "online")
        return self.believed()


@pytest.fixture
def world(stack: Stack, database: str, redis_url: str, tmp_path: Path) -> Iterator[World]:
    rig = GatewayRig(stack, database, tmp_path, [DEVICE])
    stack.broker.set_devices({DEVICE: SECRET})
    api = ChildProcess(["api"], stack.environment(dsn=database), tmp_path)
    try:
        rig.process.start()
        api.start()
        yield World(rig, api)
    finally:
        api.close()
        rig.process.close()


@pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="mosquitto-clients is not installed")
def test_the_line_for_a_shell_is_heard(world: World) -> None:
    subprocess.run(["sh", "-ec", example("sh", world.rig.stack)], check=True, timeout=60)
    told = world.wait_heard(1)
    assert told["position"]["lat"] == 1.3521
    assert (told["battery_pct"], told["availability"]["available"]) == (71, True)
    assert world.rig.rows("select count(*) from quarantine") == [(0,)]


def test_the_device_in_python_is_heard(world: World) -> None:
    running = subprocess.Popen([sys.executable, "-c", example("python", world.rig.stack)])
    try:
        told = world.wait_heard(1)
    finally:
        running.kill()
        running.wait()
    assert told["position"]["lon"] == 103.8198
    assert (told["battery_pct"], told["lock"]["bolt"]) == (71, "closed")
    ((boot, seq, at_ms, suspect),) = world.rig.rows(
        "select boot, seq, (extract(epoch from at) * 1000)::bigint, clock_suspect from report_all"
    )
    assert (boot, seq, suspect) == (0, at_ms, False)
