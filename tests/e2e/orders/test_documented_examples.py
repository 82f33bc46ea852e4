"""The examples of docs/wire.md and docs/commands.md, word for word: whoever copies them is heard, and opens a bike."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from cli.stack import CHECKOUT, Stack
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import shard_of
from tests.support.stored import ask
from tests.support.unlock_rig import BIKES, UnlockRig, unlock_rig
from tests.support.waiting import until

NAMED = DeviceId("bike-000123")
NEIGHBOUR = next(
    other
    for other in (DeviceId(f"bike-{number:06d}") for number in range(124, 1_000))
    if shard_of(other) == shard_of(NAMED)
)
DEVICES = {"sh": NAMED, "python": NEIGHBOUR}
"""Two, since a device numbers its reports in one way only; in topics they stand behind the same shard."""
SECRET = "a password of 28 characters."
WIRE, COMMANDS = ((CHECKOUT / "docs" / name).read_text() for name in ("wire.md", "commands.md"))
REPORTS = """
    select report_all.boot, seq, (extract(epoch from at) * 1000)::bigint, clock_suspect
    from report_all join device using (device_no) where device_id = %s
"""


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def example(language: str, stack: Stack) -> str:
    """The first code block about the wire in that language, its placeholders filled in."""
    secret = f"'{SECRET}'" if language == "sh" else SECRET
    filled = blocks(WIRE, language)[0].replace("PASSWORD", secret).replace("HOST", "127.0.0.1")
    assert NAMED in filled
    named = filled.replace(NAMED, DEVICES[language])
    return re.sub(r"\bPORT\b", str(stack.broker.device_port), named)


@pytest.fixture(scope="module")
def rig(stack: Stack, shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnlockRig]:
    folder = tmp_path_factory.mktemp("rig")
    with unlock_rig(
        stack, shared_database, folder, strangers=dict.fromkeys(DEVICES.values(), SECRET)
    ) as made:
        yield made


def heard(rig: UnlockRig, dsn: str, device_id: DeviceId) -> dict[str, Any]:
    """What the API tells of it after its first report."""
    until(lambda: ask(dsn, REPORTS, (device_id,)), what="a report is stored")
    assert len(ask(dsn, REPORTS, (device_id,))) == 1
    until(lambda: rig.is_online(device_id), what="the API knows it")
    told: dict[str, Any] = rig.get(f"/v1/devices/{device_id}").json()
    return told


@pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="mosquitto-clients is not installed")
def test_the_line_for_a_shell_is_heard(rig: UnlockRig, stack: Stack, shared_database: str) -> None:
    subprocess.run(["sh", "-ec", example("sh", stack)], check=True, timeout=60)
    told = heard(rig, shared_database, DEVICES["sh"])
    assert told["position"]["lat"] == 1.3521
    assert (told["battery_pct"], told["availability"]["available"]) == (71, True)
    assert ask(shared_database, "select 1 from quarantine") == []


def test_the_device_in_python_is_heard(rig: UnlockRig, stack: Stack, shared_database: str) -> None:
    running = subprocess.Popen([sys.executable, "-c", example("python", stack)])
    try:
        told = heard(rig, shared_database, DEVICES["python"])
    finally:
        running.kill()
        running.wait()
    assert told["position"]["lon"] == 103.8198
    assert (told["battery_pct"], told["lock"]["bolt"]) == (71, "closed")
    ((boot, seq, at_ms, suspect),) = ask(shared_database, REPORTS, (DEVICES["python"],))
    assert (boot, seq, suspect) == (0, at_ms, False)


def run(example: str, **settings: str) -> dict[str, Any]:
    """What it prints."""
    environment = os.environ | {"no_proxy": "127.0.0.1"} | settings
    done = subprocess.run(
        ["bash", "-eu"],
        input=example,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_whoever_copies_them_opens_a_bike_and_reads_its_story(rig: UnlockRig, stack: Stack) -> None:
    place, story = blocks(COMMANDS, "sh")
    who = {"API": rig.url, "TOKEN": stack.token("service"), "DEVICE": BIKES[0]}
    command = run(place, **who)
    assert (command["phase"], command["settled"]) == ("confirmed", True), command
    assert len(rig.bikes[BIKES[0]].deeds) == 1
    lines = run(story, **who, COMMAND=command["id"])["lines"]
    assert [line["what"] for line in lines][:3] == ["requested", "issued", "claimed"]
    assert lines[-1]["phase"] == "confirmed"
