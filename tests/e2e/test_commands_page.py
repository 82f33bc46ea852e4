"""The examples of docs/commands.md, word for word, against a real API, gateway and bike."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.stack import CHECKOUT, Stack
from tests.support.unlock_rig import BIKES, UnlockRig, unlock_rig

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed"),
]

EXAMPLES = re.findall(
    r"^```sh\n(.*?)^```$", (CHECKOUT / "docs" / "commands.md").read_text(), re.DOTALL | re.MULTILINE
)


@pytest.fixture
def rig(stack: Stack, database: str, redis_url: str, tmp_path: Path) -> Iterator[UnlockRig]:
    with unlock_rig(stack, database, tmp_path) as made:
        yield made


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


def test_whoever_copies_them_opens_a_bike_and_reads_its_story(rig: UnlockRig, stack: Stack) -> None:
    place, story = EXAMPLES
    who = {"API": rig.url, "TOKEN": stack.token("service"), "DEVICE": BIKES[0]}
    command = run(place, **who)
    assert (command["phase"], command["settled"]) == ("confirmed", True), command
    assert len(rig.bikes[BIKES[0]].deeds) == 1
    lines = run(story, **who, COMMAND=command["id"])["lines"]
    assert [line["what"] for line in lines][:3] == ["requested", "issued", "claimed"]
    assert lines[-1]["phase"] == "confirmed"
