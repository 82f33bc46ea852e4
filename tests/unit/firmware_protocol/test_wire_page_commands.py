"""What the page for firmware engineers says of commands is what the code does, to the byte."""

import json
import re
import shutil
import subprocess

import pytest

from firmware_protocol import claims, limits, server_clock, signature
from firmware_protocol.commands import AckResult, CommandKind
from tests.unit.firmware_protocol.test_wire_page import PAGE, blocks, first_table
from tests.vectors import regenerate

VECTORS = {
    vector["name"]: vector
    for vector in json.loads((regenerate.FOLDER / "signed_frames.json").read_text())["valid"]
}
UNLOCK = VECTORS["unlock"]


def test_claims_have_the_numbers_and_places_of_the_code() -> None:
    rows = first_table("| claim | number | in |")
    said = {(row[0].split("`")[0], int(row[1]), where) for row in rows for where in row[2].split(", ")}
    tables = {
        "command": {**signature.COMMAND_CLAIMS, "aud": signature.AUDIENCE},
        "welcome": {**signature.WELCOME_CLAIMS, "aud": signature.AUDIENCE},
        "ack": {**signature.ACK_CLAIMS, "sub": signature.SUBJECT},
    }
    everywhere = {(name, number, "all") for name, number, where in said if where == "all"}
    meant = {(name, number, where) for where, table in tables.items() for name, number in table.items()}
    for name, number, _ in everywhere:
        assert {(name, number, where) for where in tables} <= meant
        meant = {claim for claim in meant if claim[0] != name}
    assert said - everywhere == meant


def test_sizes_are_those_of_the_vectors() -> None:
    rows = first_table("Sizes of whole frames")
    assert {row[0]: int(row[1]) for row in rows} == {
        row[0]: len(bytes.fromhex(VECTORS[row[0]]["hex"])) for row in rows
    }
    assert len(rows) >= 8


def test_the_command_in_bytes_is_the_golden_one() -> None:
    lines = blocks("text")[1].splitlines()
    assert "".join("".join(line.split(";")[0].split()) for line in lines) == UNLOCK["hex"]


@pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("xxd")), reason="no openssl or no xxd")
def test_openssl_makes_the_tag_of_the_golden_command() -> None:
    run = subprocess.run(
        ["sh", "-ec", blocks("sh")[1]], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.split()[-1] == UNLOCK["hex"][-64:]
    assert f"CLAIMS={UNLOCK['payload'][:76]}\nCLAIMS=${{CLAIMS}}{UNLOCK['payload'][76:]}\n" in blocks("sh")[1]


def test_limits_and_names_are_those_of_the_code() -> None:
    said = {
        f"A frame is at most {limits.MAX_SEALED_BYTES} bytes",
        f"among the last {limits.REMEMBERED_COMMANDS}",
        f"{limits.REMEMBERED_COMMANDS} answers",
        f"{limits.DEVICE_KEY_BYTES} secret bytes",
        f"at most {limits.MAX_SETTINGS}, names like a fault's, texts of at most {limits.MAX_SETTING_CHARS}",
        f"nested at most {claims.MAX_CLAIMS_DEPTH} deep, no floats",
        f"age / {server_clock.DRIFT_PER} + 2 ms",
        ", ".join(f"{kind.value} {kind.name.lower().replace('_', ' ')}" for kind in CommandKind),
        ", ".join(f"{result.value} {result.name.lower()}" for result in AckResult),
    }
    assert {text for text in said if text not in PAGE} == set()
    assert server_clock.FRESH_FOR_MS == 3_600_000
    assert "is an hour old" in PAGE


def test_every_reason_of_the_session_is_on_the_page() -> None:
    reasons = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert {"expired", "old_fence", "wrong_boot", "no_such_slot", "unsupported", "busy", "jammed"} <= reasons
