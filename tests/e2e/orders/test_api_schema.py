"""Requests drawn from the API's own OpenAPI document: what it says it takes and answers is what it does."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis

from cli.stack import CHECKOUT, Stack
from tests.support.plain_http import NO_TLS
from tests.support.processes import bearer
from tests.support.unlock_rig import BIKES, CABINET, UnlockRig, unlock_rig

LONG = os.environ.get("LATCHKEY_API_EXAMPLES", "")
"""Drawn per operation, beside those that cover its edges: 2000, from a seed that is printed, take half an hour.

LATCHKEY_API_EXAMPLES=2000 ./latchkey test tests/e2e/orders/test_api_schema.py
"""
EXAMPLES = ["--max-examples", LONG] if LONG else ["--max-examples", "4", "--generation-deterministic"]
DEADLINE_S = 110 + 3 * int(LONG or 0)
BROKER_SECRET = "a secret of sixteen"
HERE = {"/v1/devices/": "devices", "/v1/commands/": "commands"}
RULES_BEYOND_THE_SCHEMA = ("/v1/devices/{id}/history", "/v1/devices/{id}/commands")
"""What they refuse depends on several values at once, which JSON Schema cannot say."""
FORGET_LIMITS_EVERY_S = 0.2
"""So that what is asked reaches the routes; limits have tests of their own."""


@pytest.fixture(scope="module")
def rig(stack: Stack, shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnlockRig]:
    """One for all passes: what they do to it is what they are about."""
    folder = tmp_path_factory.mktemp("rig")
    with unlock_rig(stack, shared_database, folder, LATCHKEY_BROKER_HOOK_SECRET=BROKER_SECRET) as made:
        yield made


@pytest.fixture(scope="module")
def document(rig: UnlockRig) -> dict[str, Any]:
    """As served, with the ids of this fleet, so that not every answer is 404."""
    placed = httpx.post(
        f"{rig.url}/v1/devices/{BIKES[0]}/commands?wait_s=20",
        json={"kind": "locate"},
        headers={**bearer(rig.api), "Idempotency-Key": str(uuid4())},
        trust_env=False,
        verify=NO_TLS,
        timeout=30,
    )
    ids = {"devices": [*BIKES, CABINET, "nobody"], "commands": [placed.json()["id"], str(uuid4())]}
    served: dict[str, Any] = rig.get("/openapi.json").json()
    for path, operations in served["paths"].items():
        for operation in operations.values():
            # Waiting has tests of its own.
            asked = [one for one in operation.get("parameters", ()) if one["name"] != "wait_s"]
            operation["parameters"] = [_known(one, path, ids) for one in asked]
    return served


def _known(parameter: dict[str, Any], path: str, ids: dict[str, list[str]]) -> dict[str, Any]:
    match parameter["name"]:
        case "id":
            values = next(ids[what] for prefix, what in HERE.items() if path.startswith(prefix))
        case "X-Latchkey-Broker":
            values = [BROKER_SECRET]
        case _:
            return parameter
    return parameter | {"schema": {"type": "string", "enum": values}}


@pytest.mark.timeout(DEADLINE_S + 60)
@pytest.mark.parametrize(
    ("role", "more"),
    [
        ("operator_admin", ("--phases", "examples,coverage,fuzzing")),
        ("rider", ("--phases", "examples,coverage", "--mode", "positive")),
        ("", ("--phases", "examples,coverage", "--mode", "positive")),
    ],
)
def test_the_api_does_what_its_document_says(
    rig: UnlockRig, document: dict[str, Any], stack: Stack, tmp_path: Path, role: str, more: tuple[str, ...]
) -> None:
    described, settings = tmp_path / "openapi.json", tmp_path / "schemathesis.toml"
    described.write_text(json.dumps(document))
    settings.write_text(_settings(bearer(rig.api, role)["Authorization"] if role else ""))
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        str(settings),
        "run",
        str(described),
    ]
    command += ["--url", rig.url, "--continue-on-failure", "--warnings", "off", *EXAMPLES, *more]
    said = _run(command, tmp_path, stack)
    sys.stdout.write(said)
    assert "No issues found" in said
    assert f"Tested: {sum(map(len, document['paths'].values()))}" in said


def _settings(authorization: str) -> str:
    """In a file that only we read: a token has no place in the arguments of a process."""
    parts = [f'[headers]\nAuthorization = "{authorization}"'] if authorization else []
    parts += [
        f'[[operations]]\ninclude-path = "{path}"\n'
        "[operations.checks.positive_data_acceptance]\nenabled = false"
        for path in RULES_BEYOND_THE_SCHEMA
    ]
    return "\n\n".join(parts)


def _run(command: list[str], folder: Path, stack: Stack) -> str:
    """What it printed. Raises AssertionError when it found something."""
    printed = folder / "printed.txt"
    # Its tables of characters take seconds to make, and are the same every time.
    environment = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(CHECKOUT / ".hypothesis")}
    with (
        redis.Redis.from_url(stack.redis.url()) as client,
        printed.open("wb") as out,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT) as run,
    ):
        end_s = time.monotonic() + DEADLINE_S
        try:
            while run.poll() is None:
                assert time.monotonic() < end_s, printed.read_text()[-2_000:]
                with suppress(subprocess.TimeoutExpired):
                    run.wait(FORGET_LIMITS_EVERY_S)
                if keys := client.keys("lk:rate:*"):
                    client.delete(*keys)
        finally:
            run.kill()
    said = printed.read_text(errors="replace")
    assert run.returncode == 0, said[-12_000:]
    return said
