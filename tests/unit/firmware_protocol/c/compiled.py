"""What gcc makes of latchkey.h, and a conversation with it: one line asked, one line answered."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

import firmware_protocol
from firmware_protocol.commands import Ack
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import Hello, Report, Slot

HEADERS = Path(firmware_protocol.__file__).parent / "c"
SOURCES = Path(__file__).parent
STRICT = (
    *("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"),
    *("-Wconversion", "-Wshadow", "-Wundef", "-Wstrict-prototypes", "-Wcast-align"),
)
# Unoptimized: four times as fast to build, and nothing is optimized away before it is checked.
SANITIZED = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
# A frame's memory is freed by the driver; looking for leaks needs rights that a container may not give.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0"}
ROOM = 16_384


def build(*sources: Path, into: Path, options: Iterable[str]) -> Path:
    """The program at `into`. Fails the test with what gcc says about it."""
    if shutil.which("gcc") is None:
        pytest.fail("gcc is missing: sudo apt-get install --no-install-recommends gcc libc6-dev")
    command = ["gcc", *STRICT, *options, f"-I{HEADERS}", *map(str, sources), "-o", str(into)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode:
        pytest.fail(f"{' '.join(command)}\n{said.stderr}")
    return into


@cache
def _before() -> tuple[str, ...]:
    """What a sanitized program is started with: at some random addresses older sanitizers cannot begin."""
    fixed = ("setarch", "-R")
    if shutil.which("setarch") and subprocess.run([*fixed, "true"], capture_output=True).returncode == 0:
        return fixed
    return ()


def sanitized(program: Path, *arguments: str) -> list[str]:
    """The command that starts a program built with SANITIZED; give it ENVIRONMENT too."""
    return [*_before(), str(program), *arguments]


class DeviceInC:
    """One process of driver.c."""

    def __init__(self, program: Path) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            sanitized(program), stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Reads what is left and waits.
        self._process.communicate()

    def ask(self, *tokens: object) -> list[str]:
        """The words of the answer. Raises AssertionError with what the sanitizers said when there is none."""
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None
        assert stdout is not None
        assert stderr is not None
        stdin.write(" ".join(map(str, tokens)) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise AssertionError(f"{tokens}: {stderr.read()}")
        return answer.split()

    def written(self, kind: str, tokens: Iterable[str], room: int = ROOM) -> tuple[int, bytes]:
        """Status and frame of a `report`, `hello` or `ack`."""
        status, *frame = self.ask(kind, f"room={room}", *tokens)
        return int(status), bytes.fromhex(frame[0]) if frame else b""

    def become(self, device_id: str, keys: Iterable[DeviceKey]) -> None:
        """A new device: welcomed by nobody, remembering nothing."""
        self.ask("device", device_id, *(f"{key.number}:{key.secret.hex()}" for key in keys))


def _given(prefix: str, **values: int | None) -> Iterator[str]:
    return (f"{prefix}{name}={value}" for name, value in values.items() if value is not None)


def _hex(text: str) -> str:
    return text.encode("latin-1").hex()


def _switch(value: bool | None) -> int | None:
    return None if value is None else 1 + value


def report_tokens(report: Report) -> Iterator[str]:
    """As driver.c reads a report."""
    yield from _given(
        "",
        boot=report.boot,
        seq=report.seq,
        elapsed_ms=report.elapsed_ms,
        reported_at_ms=report.reported_at_ms,
        keep=int(report.keep),
        battery_pct=report.battery_pct,
        charging=_switch(report.charging),
        moving=_switch(report.moving),
        signal_dbm=report.signal_dbm,
        kept_lost=report.kept_lost,
    )
    if report.firmware is not None:
        yield f"firmware={_hex(report.firmware)}"
    yield from (f"fault={_hex(fault)}" for fault in report.faults)
    yield from (f"alarm={int(alarm)}" for alarm in report.alarms)
    if fix := report.fix:
        yield f"accuracy_m={fix.accuracy_m!r}"
        yield from _given("", lat_e7=fix.lat_e7, lon_e7=fix.lon_e7, age_ms=fix.age_ms)
    if lock := report.lock:
        yield from _given("lock_", bolt=lock.bolt + 1, last_fence=lock.last_fence, openings=lock.openings)
    for slot in report.slots:
        yield from _slot_tokens(slot)


def _slot_tokens(slot: Slot) -> Iterator[str]:
    yield f"slot={slot.number}"
    if slot.unit_id is not None:
        yield f"slot_unit_id={_hex(slot.unit_id)}"
    yield from _given(
        "slot_",
        bolt=None if slot.bolt is None else slot.bolt + 1,
        door_closed=_switch(slot.door_closed),
        occupied=_switch(slot.occupied),
        charge_pct=slot.charge_pct,
        last_fence=slot.last_fence,
        openings=slot.openings,
    )
    yield from (f"slot_fault={_hex(fault)}" for fault in slot.faults)


def hello_tokens(hello: Hello) -> Iterator[str]:
    """As driver.c reads a hello."""
    yield f"model={_hex(hello.model)}"
    yield f"firmware={_hex(hello.firmware)}"
    yield from _given("", power_on_id=hello.power_on_id, hello_sent_ms=hello.hello_sent_ms)


def ack_tokens(ack: Ack) -> Iterator[str]:
    """As driver.c reads an ack."""
    yield f"command_id={ack.command_id.hex()}"
    yield from _given(
        "", result=ack.result, boot=ack.boot, fence=ack.fence, slot=ack.slot, elapsed_ms=ack.elapsed_ms
    )
    if ack.reason is not None:
        yield f"reason={_hex(ack.reason)}"
