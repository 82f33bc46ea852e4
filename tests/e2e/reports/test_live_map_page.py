"""The fifty lines of docs/live-map.md, run word for word in Node against a real API."""

import json
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.node import ensure_node
from cli.stack import CHECKOUT, Stack
from firmware_protocol.messages import DeviceId
from gateway.core.live_state import MapEntry
from tests.support.processes import running
from tests.support.redis_writer import RedisWriter
from tests.support.waiting import until_async
from tests.unit.api.live.entries import entry

DOCUMENT = CHECKOUT / "docs" / "live-map.md"
RUNNER = CHECKOUT / "tests" / "support" / "live_map_page.js"

pytestmark = pytest.mark.e2e


class NodeMap:
    """A map in Node, and what its callbacks were told."""

    def __init__(self, process: "subprocess.Popen[str]", said: Path) -> None:
        self._process = process
        self._said = said

    def told(self) -> list[list[object]]:
        lines = self._said.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def pan(self, box: list[float]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(box) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(30) == 0


@contextmanager
def node_map(address: str, token: str, folder: Path) -> Iterator[NodeMap]:
    """The documented code, connected."""
    (code,) = re.findall(r"```js\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    code_file, said = folder / "code.js", folder / "said.jsonl"
    code_file.write_text(code, encoding="utf-8")
    # The WebSocket of Node 20 is behind a flag, which later ones accept too.
    ensure_node()
    command = ["node", "--experimental-websocket", str(RUNNER), str(code_file), address, token]
    with (
        said.open("wb") as out,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, text=True) as process,
    ):
        try:
            yield NodeMap(process, said)
        finally:
            process.kill()


@pytest.fixture
async def writer(redis_url: str) -> AsyncIterator[RedisWriter]:
    one = RedisWriter(redis_url)
    yield one
    await one.close()


def _at(lat_e7: int, *, available: bool = True) -> MapEntry:
    return entry(1, lat_e7=lat_e7, lon_e7=1_214_500_000, available=available)


async def test_the_documented_map_sees_a_device_shown_moved_and_vanished(
    stack: Stack, database: str, writer: RedisWriter, tmp_path: Path
) -> None:
    await writer.begin("one", [_at(312_500_000), entry(2, lat_e7=313_500_000, lon_e7=1_214_500_000)])
    environment = stack.environment(dsn=database, LATCHKEY_API_PORT="0")
    with (
        running("api", environment, tmp_path) as api,
        node_map(f"ws://127.0.0.1:{api.http_port}/v1/live", stack.token("operator_admin"), tmp_path) as map_,
    ):
        await until_async(lambda: ["show", "p1", 31.25] in map_.told())
        await until_async(lambda: map_.told()[-1] == ["state", "live"])
        await writer.put(DeviceId("d1"), _at(312_600_000))
        await until_async(lambda: ["move", "p1", 31.26] in map_.told())
        await writer.put(DeviceId("d1"), _at(312_600_000, available=False))
        await until_async(lambda: ["gone", "p1"] in map_.told())
        map_.pan([121.4, 31.3, 121.5, 31.4])
        await until_async(lambda: ["show", "p2", 31.35] in map_.told())
        map_.pan([0, 95, 1, 96])
        await until_async(lambda: map_.told()[-1] == ["state", "error"])
        # Too often for the server: the last box is asked for once more, or the map would stay at an earlier one.
        for _ in range(30):
            map_.pan([121.4, 31.3, 121.5, 31.4])
        map_.pan([121.4, 31.2, 121.5, 31.3])
        await until_async(lambda: map_.told()[-2:] == [["gone", "p2"], ["state", "live"]])
        await writer.put(DeviceId("d1"), _at(312_600_000))
        await until_async(lambda: ["show", "p1", 31.26] in map_.told())
        map_.close()
        await until_async(lambda: map_.told()[-2:] == [["gone", "p1"], ["closed", 0]])
