"""From a person's word to the broker: who may connect is known there within five seconds, connected or not."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from cli.main import application
from cli.running import POSTGRES_DSN
from cli.stack import Stack
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import report_topic, topic_prefix
from gateway.broker_export import BrokerFiles
from gateway.core.device import DeviceModel, Kind
from gateway.key_wrapping import KeyWrapping
from gateway.stores.broker_lists import PostgresBrokerLists
from gateway.stores.bulk_import import import_chunk
from gateway.stores.device_identity import By
from gateway.stores.registration import NewDevice, bulk_register
from tests.support.device_client import DeviceClient, device_client
from tests.support.plain_http import NO_TLS
from tests.support.processes import running
from tests.support.spare_databases import SpareDatabases
from tests.support.stored import ask
from tests.support.waiting import until

MODEL = DeviceModel("export-bike", Kind.BIKE, heartbeat_s=60, quiet_after_s=150, lost_after_s=600)
EFFECTIVE_WITHIN_S = 5.0
PASSWORDS = {f"exp-{number}": f"password {number}" for number in range(6)}


@dataclass(frozen=True)
class Town:
    """A stack whose gateway tells the broker."""

    stack: Stack
    dsn: str
    folder: Path

    @property
    def certificates(self) -> Path:
        return self.folder / "ca"

    def make_certificates(self, *names: str) -> None:
        """An authority, the server's, and one for each of these devices."""
        folder = ("--folder", str(self.certificates))
        self.person("ca", "init", *folder)
        self.person("ca", "server", "localhost", *folder)
        for name in names:
            self.person("ca", "issue", name, *folder, "--into", str(self.certificates))

    def person(self, *words: str) -> str:
        """Types a verb of `device`."""
        answer = CliRunner().invoke(application(("device",)), ["device", *words])
        assert answer.exit_code == 0, answer.output
        return answer.stdout

    def lets_in(self, name: str, password: str) -> bool:
        with device_client(self.stack.broker.device_port, name, password, client_id="probe") as probe:
            return probe.welcome

    def connected(self, name: str) -> DeviceClient:
        """A device that stays."""
        client = DeviceClient(self.stack.broker.device_port, name, PASSWORDS[name])
        assert client.answered()
        return client

    def with_certificate(self, name: str) -> DeviceClient:
        return DeviceClient(
            self.stack.broker.certificate_port,
            None,
            client_id=name,
            certificates=self.certificates,
            certificate=self.certificates / f"{name}.crt",
        )


@pytest.fixture(scope="module")
def town(stack: Stack, shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One for all tests of this file: each does something to a device of its own."""
    dsn, folder = shared_database, tmp_path_factory.mktemp("town")
    environment = stack.environment(dsn=dsn) | stack.exporting()
    with pytest.MonkeyPatch.context() as patch:
        for name in (POSTGRES_DSN, "LATCHKEY_KEY_ENCRYPTION_KEY"):
            patch.setenv(name, environment[name])
        import_devices(dsn, KeyWrapping.from_environment(environment))
        town = Town(stack, dsn, folder)
        town.make_certificates("exp-2", "exp-3")
        stack.broker.install_certificates(town.certificates)
        try:
            with running("gateway", environment, folder):
                stack.broker.wait_until_let_in("exp-0", PASSWORDS["exp-0"])
                yield town
        finally:
            stack.broker.remove_certificates()
            stack.broker.set_devices({})


def import_devices(dsn: str, wrapping: KeyWrapping) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        bulk_register(connection, [MODEL], [])
        devices = [NewDevice(DeviceId(name), MODEL.model) for name in PASSWORDS]
        import_chunk(
            connection, devices, wrapping, By("console:t", "console"), passwords=list(PASSWORDS.values())
        )


def stored_of(dsn: str, device_id: str) -> int:
    """How many reports of it are in history."""
    of_device = "select count(*) from report_all join device using (device_no) where device_id = %s"
    return int(ask(dsn, of_device, (device_id,))[0][0])


def within(began_s: float) -> float:
    """How long it took; it must not have been longer than what is promised."""
    took_s = time.monotonic() - began_s
    assert took_s < EFFECTIVE_WITHIN_S
    return took_s


def test_a_suspended_device_is_out_within_five_seconds_and_the_others_stay(town: Town) -> None:
    suspended, other = town.connected("exp-0"), town.connected("exp-5")
    began_s = time.monotonic()
    town.person("suspend", "exp-0", "--why", "stolen")
    until(lambda: suspended.ended, what="the connection that exists is ended")
    assert not town.lets_in("exp-0", PASSWORDS["exp-0"])
    within(began_s)
    assert not other.ended
    began_s = time.monotonic()
    town.person("resume", "exp-0")
    until(lambda: town.lets_in("exp-0", PASSWORDS["exp-0"]), what="let in again")
    within(began_s)
    assert not other.ended
    for client in (suspended, other):
        client.close()


def test_the_gateway_itself_refuses_a_suspended_device(town: Town) -> None:
    broker, device_id = town.stack.broker, DeviceId("exp-4")
    topic = report_topic(device_id)
    put_aside = "select 1 from quarantine where reason = 'unknown_device' and device_id = %s"
    # The bridge may speak as any device: what it says reaches the gateway whatever the broker's list says.
    with device_client(broker.internal_port, broker.bridge_user, broker.bridge_password) as bridge:
        bridge.publish(topic, b'{"battery_pct":50}')
        until(lambda: stored_of(town.dsn, device_id) == 1, what="a report of a device in service is stored")
        began_s = time.monotonic()
        town.person("suspend", device_id)

        def refused() -> bool:
            bridge.publish(topic, b'{"battery_pct":50}')
            return bool(ask(town.dsn, put_aside, (device_id,)))

        until(refused, what="a report of a suspended device is put aside")
        within(began_s)


def test_a_new_password_replaces_the_old_one(town: Town) -> None:
    device = town.connected("exp-1")
    began_s = time.monotonic()
    password = town.person("password", "exp-1").strip()
    until(lambda: device.ended, what="who came in by the old password is out")
    assert not town.lets_in("exp-1", PASSWORDS["exp-1"])
    assert town.lets_in("exp-1", password)
    within(began_s)
    device.close()


def test_a_certificate_lets_in_until_it_is_revoked(town: Town) -> None:
    broker = town.stack.broker
    with device_client(broker.internal_port, broker.bridge_user, broker.bridge_password) as witness:
        witness.subscribe("lk/v1/#")
        device = town.with_certificate("exp-2")
        assert device.answered()
        topic = f"{topic_prefix(DeviceId('exp-2')).rstrip('/')}/report"
        device.publish(topic, b"{}")
        until(lambda: (topic, b"{}") in witness.heard, what="its report")
        began_s = time.monotonic()
        town.person("ca", "revoke", "exp-2", "--folder", str(town.certificates))

        def refused() -> bool:
            stranger = town.with_certificate("exp-2")
            try:
                return not stranger.answered()
            finally:
                stranger.close()

        until(refused, what="refused with its revoked certificate")
        within(began_s)
        device.close()


def test_a_suspended_device_with_a_certificate_can_say_nothing(town: Town) -> None:
    broker = town.stack.broker
    with device_client(broker.internal_port, broker.bridge_user, broker.bridge_password) as witness:
        witness.subscribe("lk/v1/#")
        prefix = topic_prefix(DeviceId("exp-3")).rstrip("/")
        device = town.with_certificate("exp-3")
        assert device.answered()
        device.subscribe(f"{prefix}/cmd")
        began_s = time.monotonic()
        town.person("suspend", "exp-3")

        def denied() -> bool:
            mid = device.publish(f"{prefix}/report", b"{}")
            until(lambda: mid in device.answers, what="an answer to a report")
            return device.answers[mid] == 135

        until(denied, what="not authorized")
        within(began_s)
        heard = len(witness.heard)
        mid = device.publish(f"{prefix}/report", b"after")
        until(lambda: mid in device.answers)
        witness.publish(f"{prefix}/cmd", b"open")
        until(lambda: (f"{prefix}/cmd", b"open") in witness.heard[heard:], what="the broker took the command")
        assert (f"{prefix}/report", b"after") not in witness.heard
        assert device.heard == []
        device.close()


def test_a_device_enrols_itself_and_connects(town: Town, tmp_path: Path) -> None:
    code = town.person("enrol-code", "--model", MODEL.model).strip()
    asked = {"code": code, "device_id": "exp-new"}
    with running("api", town.stack.environment(dsn=town.dsn), tmp_path) as api:
        first, second = (
            httpx.post(
                f"http://127.0.0.1:{api.http_port}/v1/enrol", json=asked, trust_env=False, verify=NO_TLS
            )
            for _ in range(2)
        )
    assert (first.status_code, second.status_code) == (201, 403)
    said = first.json()
    assert said["broker"] == f"mqtt://127.0.0.1:{town.stack.broker.device_port}"
    town.stack.broker.wait_until_let_in("exp-new", said["password"])
    with device_client(town.stack.broker.device_port, "exp-new", said["password"]) as device:
        mid = device.publish(said["topics"]["report"], b'{"battery_pct":50}')
        until(lambda: device.answers.get(mid) == 0, what="a report of the new device is taken")
    until(lambda: stored_of(town.dsn, "exp-new") == 1, what="its report is stored")
    logs = [path.read_text() for folder in (town.folder, tmp_path) for path in folder.glob("*.log")]
    assert len(logs) == 2
    for secret in (code, said["password"], said["key_hex"]):
        assert secret not in "".join(logs)


def test_tens_of_thousands_of_devices_are_written_in_seconds(
    databases: SpareDatabases, tmp_path: Path
) -> None:
    count, dsn = 30_000, databases.take()
    with psycopg.connect(dsn, autocommit=True) as connection:
        bulk_register(connection, [MODEL], [NewDevice(DeviceId(f"m-{n}"), MODEL.model) for n in range(count)])
        line = "$7$10$" + "A" * 16 + "$" + "B" * 88
        connection.execute(
            "insert into device_credential (device_no, operator_id, verifier) select device_no, 1, %s from device",
            [line],
        )

    async def export() -> float:
        lists = PostgresBrokerLists(dsn)
        began_s = time.monotonic()
        assert await lists.export(BrokerFiles(tmp_path / "devices.passwords").write, force=False)
        took_s = time.monotonic() - began_s
        await lists.close()
        return took_s

    assert asyncio.run(export()) < EFFECTIVE_WITHIN_S
    databases.give_back(dsn)
    lines = (tmp_path / "devices.passwords").read_text().splitlines()
    assert len(set(lines)) == count
    assert all(line.startswith("m-") and line.endswith("B") for line in lines)
