"""No secret of a gateway, an API, a device or a person is said anywhere: logs, arguments, metrics, refusals."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from cli.child_process import ChildProcess
from cli.stack import Stack
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import ack_topic, hello_topic
from gateway.core.device import DeviceModel, Kind
from gateway.key_wrapping import KeyWrapping
from gateway.stores.device_identity import By
from gateway.stores.enrolment import PostgresEnrolment
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.registration import bulk_register
from tests.support.gateway_rig import bridge
from tests.support.obedient_bike import ObedientBike
from tests.support.plain_http import NO_TLS
from tests.support.processes import bearer
from tests.support.waiting import until_async

pytestmark = pytest.mark.e2e

MODEL = DeviceModel("canary-bike", Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)
BIKE = DeviceId("canary-1")
HOOK = "hook-canary-of-thirty-bytes-and-more"


class Town:
    """Gateway and API that say everything they ever say, and all that was heard of them."""

    def __init__(self, stack: Stack, dsn: str, folder: Path) -> None:
        more = {"LATCHKEY_LOG_LEVEL": "debug", "LATCHKEY_BROKER_HOOK_SECRET": HOOK}
        self.stack = stack
        self.environment = stack.environment(dsn=dsn) | stack.exporting() | more
        self.gateway = ChildProcess(["gateway"], self.environment, folder)
        self.api = ChildProcess(["api"], self.environment, folder)
        self.http = httpx.Client(trust_env=False, verify=NO_TLS, timeout=30)
        self.heard: list[str] = []

    def ask(self, method: str, path: str, *, of: ChildProcess | None = None, **more: Any) -> httpx.Response:
        url = f"http://127.0.0.1:{(of or self.api).http_port}{path}"
        answer = self.http.request(method, url, **more)
        self.heard += [str(answer.headers), answer.text]
        return answer

    def arguments(self) -> str:
        """Of these two and of the servers."""
        servers = (self.stack.broker.pid, self.stack.redis.pid, self.stack.postgres.pid)
        pids = (self.gateway.pid, self.api.pid, *servers)
        return "\n".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in pids)

    def written(self) -> str:
        """Logs and what was printed."""
        files = [path for one in (self.gateway, self.api) for path in (one.log_path, one.out_path)]
        return "\n".join(path.read_text() for path in files)

    def secrets(self) -> dict[str, str]:
        """Of the processes, by what they are."""
        found = {
            name: value
            for name, value in self.environment.items()
            if re.search(r"LATCHKEY.*(PASSWORD|SECRET)$", name) and value
        }
        for name in ("LATCHKEY_POSTGRES_DSN", "LATCHKEY_REDIS_URL"):
            found[name] = self.environment[name].partition("@")[0].rpartition(":")[2]
        found["key"] = self.environment["LATCHKEY_KEY_ENCRYPTION_KEY"].partition(":")[2]
        found["bridge"] = self.stack.broker.bridge_password
        return found


@pytest.fixture
def town(stack: Stack, database: str, redis_url: str, tmp_path: Path) -> Iterator[Town]:
    with psycopg.connect(database) as connection:
        bulk_register(connection, [MODEL], [])
    made = Town(stack, database, tmp_path)
    try:
        for process in (made.gateway, made.api):
            process.start_without_waiting()
        for process in (made.gateway, made.api):
            process.wait_ready()
        yield made
    finally:
        made.http.close()
        made.api.close()
        made.gateway.close()
        stack.broker.set_devices({})


async def code_of(town: Town, dsn: str) -> str:
    link = PostgresLink(dsn, name="console")
    try:
        enrolment = PostgresEnrolment(link, KeyWrapping.from_environment(town.environment))
        by, lasts = By("console:me", "console"), timedelta(hours=1)
        (code,) = await enrolment.make_codes(MODEL.model, by, count=1, lasts=lasts, operator_id=1)
        return code
    finally:
        await link.close()


@asynccontextmanager
async def riding(bike: ObedientBike) -> AsyncIterator[None]:
    """Welcomed, and seen."""
    task = asyncio.create_task(bike.run())
    await until_async(lambda: bike.session.boot > 0, what="welcomed")
    await bike.report()
    yield
    task.cancel()
    await asyncio.wait([task])


def order(town: Town, key: str) -> httpx.Response:
    headers = {**bearer(town.api), "Idempotency-Key": key}
    return town.ask(
        "POST", f"/v1/devices/{BIKE}/commands?wait_s=10", json={"kind": "unlock"}, headers=headers
    )


def refusals(town: Town, password: str, key_hex: str) -> None:
    """Everything that may repeat what it was told, at least in its refusal."""
    hook = {"X-Latchkey-Broker": HOOK}
    for secret in (password, key_hex, *town.secrets().values()):
        asked = {"Authorization": f"Bearer {secret}", "X-Latchkey-Broker": secret + "x"}
        town.ask("GET", "/v1/fleet", headers=asked)
        town.ask("POST", "/v1/broker/auth", headers=asked, json={"username": BIKE, "password": secret})
        entry = {"username": BIKE, "clientid": BIKE, "password": secret}
        town.ask("POST", "/v1/broker/auth", headers=hook, json=entry)
        town.ask("POST", "/v1/enrol", json={"code": secret[:64], "device_id": BIKE})
    with bridge(town.stack) as speaker:
        speaker.wait_taken([speaker.publish(topic(BIKE), b"\xd2" * 9) for topic in (ack_topic, hello_topic)])


async def test_no_secret_is_said_by_logs_arguments_metrics_or_refusals(town: Town, database: str) -> None:
    code = await code_of(town, database)
    enrolled = town.ask("POST", "/v1/enrol", json={"code": code, "device_id": BIKE}).json()
    town.heard.clear()  # It is told what it is, this once.
    password, key_hex = enrolled["password"], enrolled["key_hex"]
    key = DeviceKey(enrolled["key_number"], bytes.fromhex(key_hex))
    bike = ObedientBike(town.stack.broker.device_port, BIKE, password, key, MODEL.model)
    async with riding(bike):
        await until_async(lambda: _is_seen(town), what="the API knows it")
        told = await asyncio.to_thread(order, town, "canary-order-1")
        assert told.json()["phase"] == "confirmed", told.text
        await asyncio.to_thread(refusals, town, password, key_hex)
        with psycopg.connect(database, autocommit=True) as connection:
            # The stores complain, with all that they know.
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'latchkey-%'"
            )
            rows = connection.execute(
                "select c::text, k::text from device_credential c, device_key k"
            ).fetchall()
    token = bearer(town.api)["Authorization"].removeprefix("Bearer ")
    for process in (town.gateway, town.api):
        for path in ("/metrics", "/readyz", "/livez"):
            town.ask("GET", path, of=process)
    arguments = town.arguments()
    assert (town.api.stop(), town.gateway.stop()) == (0, 0)
    said = "\n".join([*town.heard, arguments, town.written(), str(rows)])
    assert "latchkey_refused_acks_total" in said
    secrets = {
        "password": password,
        "key of the device": key_hex,
        "code": code,
        "token": token,
        **town.secrets(),
    }
    assert len(secrets) >= 9
    assert all(len(secret) >= 12 for secret in secrets.values())
    assert [name for name, secret in secrets.items() if secret in said] == []


def _is_seen(town: Town) -> bool:
    answer = town.ask("GET", f"/v1/devices/{BIKE}", headers=bearer(town.api)).json()
    return bool(answer.get("presence") == "online")
