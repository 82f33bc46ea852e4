"""latchkey.h as a firmware engineer meets it: strict compilers, no operating system, other hardware, many files."""

import re
import subprocess
from pathlib import Path

import pytest

from firmware_protocol import limits
from firmware_protocol.commands import Ack, AckResult, CommandKind
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import DeviceId
from firmware_protocol.signature import COMMAND_CLAIMS, sign_ack
from tests.unit.firmware_protocol.c.compiled import (
    HEADERS,
    SANITIZED,
    SOURCES,
    DeviceInC,
    ack_tokens,
    build,
)

OWN_HMAC = """
#define lk_hmac soft_hmac
#define lk_hmac_begin soft_hmac_begin
#define lk_hmac_add soft_hmac_add
#define lk_hmac_end soft_hmac_end
#include "latchkey_sha256.h"
#undef lk_hmac
#undef lk_hmac_begin
#undef lk_hmac_add
#undef lk_hmac_end
struct lk_hmac { struct soft_hmac engine; };
static inline void lk_hmac_begin(struct lk_hmac *mac, const uint8_t *key, size_t count)
{ soft_hmac_begin(&mac->engine, key, count); }
static inline void lk_hmac_add(struct lk_hmac *mac, const uint8_t *bytes, size_t count)
{ soft_hmac_add(&mac->engine, bytes, count); }
static inline void lk_hmac_end(struct lk_hmac *mac, uint8_t tag[32])
{ soft_hmac_end(&mac->engine, tag); }
"""


@pytest.mark.parametrize(
    "options", [("-O0",), ("-O2",), ("-Os", "-ffreestanding"), ("-O2", "-funsigned-char")]
)
def test_the_example_builds_without_a_warning(tmp_path: Path, options: tuple[str, ...]) -> None:
    build(HEADERS / "example.c", into=tmp_path / "example.o", options=(*options, "-c"))


@pytest.mark.parametrize("header", sorted(path.name for path in HEADERS.glob("*.h")))
def test_every_header_can_come_first_and_twice_and_in_two_files(tmp_path: Path, header: str) -> None:
    text = f'#include "{header}"\n#include "{header}"\n#include "latchkey.h"\n'
    (tmp_path / "one.c").write_text(text)
    (tmp_path / "other.c").write_text(f"{text}int main(void) {{ return 0; }}\n")
    build(tmp_path / "one.c", tmp_path / "other.c", into=tmp_path / "program", options=("-O2",))


def test_only_four_headers_of_the_language_are_needed() -> None:
    included = {
        name
        for path in (*HEADERS.glob("*.h"), HEADERS / "example.c")
        for name in re.findall(r"#include <(.*)>", path.read_text())
    }
    assert included == {"stdbool.h", "stddef.h", "stdint.h", "string.h"}


def test_the_objects_call_nothing_but_memory_and_string_functions(tmp_path: Path) -> None:
    built = build(HEADERS / "example.c", into=tmp_path / "example.o", options=("-O2", "-c"))
    said = subprocess.run(["nm", "-u", built], capture_output=True, text=True, check=True).stdout
    called = {line.split()[-1] for line in said.splitlines()} - {"_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}
    assert called <= {"memcpy", "memset", "memcmp", "memmove", "strcmp", "strncmp", "strrchr"}


def test_a_chip_brings_its_own_hash_engine(tmp_path: Path) -> None:
    (tmp_path / "chip.h").write_text(OWN_HMAC)
    options = (*SANITIZED, f"-I{tmp_path}", '-DLK_HMAC_HEADER="chip.h"')
    program = build(SOURCES / "driver.c", into=tmp_path / "driver", options=options)
    key = DeviceKey(9, b"s" * 32)
    ack = Ack(bytes(16), AckResult.EXECUTED, 5, 6)
    with DeviceInC(program) as device:
        device.become("bike-1", [key])
        assert device.written("ack", ack_tokens(ack)) == (
            0,
            sign_ack(ack, device_id=DeviceId("bike-1"), key=key),
        )


def test_bounds_kinds_and_claims_are_those_of_the_wire() -> None:
    text = "".join(path.read_text() for path in HEADERS.glob("*.h"))
    defined = dict(re.findall(r"#define LK_(\w+) (?:INT64_C\()?(-?\d+)", text))
    named = dict(re.findall(r"\bLK_(\w+) = (-?\d+)", text))
    for name in ("FRAME_BYTES", "SLOTS", "ID_CHARS", "CODE_CHARS", "TEXT_CHARS", "FAULTS", "FIX_AGE_MS"):
        assert int(defined[f"MAX_{name}"]) == getattr(limits, f"MAX_{name}")
    for name in ("RECEIPT_STAMPS", "SEALED_BYTES", "SETTINGS", "SETTING_CHARS"):
        assert int(defined[f"MAX_{name}"]) == getattr(limits, f"MAX_{name}")
    assert int(defined["REMEMBERED"]) == limits.REMEMBERED_COMMANDS
    assert int(defined["KEY_BYTES"]) == limits.DEVICE_KEY_BYTES
    assert {kind.name: int(named[kind.name]) for kind in CommandKind} == {
        k.name: k.value for k in CommandKind
    }
    assert {
        int(named[f"CLAIM_{name}"]) for name in ("COMMAND_ID", "BOOT", "FENCE", "NOT_AFTER", "KIND", "SLOT")
    } == {number for name, number in COMMAND_CLAIMS.items() if name != "settings"}
