import asyncio
import shlex
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
import redis

from cli.demo_fleet import DATABASE, HAND_DEVICE, HAND_PASSWORD, Prepared, prepare, public_ids
from cli.demo_words import hand_line
from cli.stack import Stack
from device_sim.fleet import build_fleet
from device_sim.misbehaviour import Misbehaviour
from device_sim.profiles import Level
from gateway.broker_export import BrokerExport, BrokerFiles
from gateway.stores.broker_lists import PostgresBrokerLists
from tests.support.fakes.clock import FakeClock

FLEET = build_fleet(60, seed=1, secret=b"s")
BASIC = sum(profile.level is Level.BASIC for profile in FLEET.profiles)


@pytest.fixture
def prepared(stack: Stack) -> Iterator[Prepared]:
    yield prepare(stack, FLEET)
    stack.postgres.drop_database(stack.postgres.dsn(DATABASE))
    stack.broker.set_devices({})


async def export(stack: Stack, dsn: str) -> None:
    """What the demo's gateway does: the registry's list becomes the broker's."""
    lists = PostgresBrokerLists(dsn)
    files = BrokerFiles(stack.broker.devices_path)
    assert await BrokerExport(lists, files, stack.broker.pid_path, FakeClock()).step()
    await lists.close()


def registered(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {str(device_id) for (device_id,) in connection.execute("select device_id from device")}


def test_the_whole_fleet_and_the_one_for_your_hands_are_registered(prepared: Prepared) -> None:
    assert registered(prepared.dsn) == {*FLEET.device_ids, HAND_DEVICE}
    assert prepared.history_line.startswith("history:")


def test_every_device_that_can_verify_commands_has_a_key_and_models_their_quirks(stack: Stack) -> None:
    fleet = build_fleet(60, seed=1, secret=b"s", misbehave={Misbehaviour.IGNORES_EXPIRY: 0.5})
    prepared = prepare(stack, fleet)
    levels = zip(fleet.device_ids, fleet.profiles, strict=True)
    assert set(prepared.keys) == {one for one, profile in levels if profile.level is Level.FULL}
    with psycopg.connect(prepared.dsn) as connection:
        rows = connection.execute("select model, quirks from device_model").fetchall()
    stack.postgres.drop_database(prepared.dsn)
    assert {quirk for model, quirks in rows if model.endswith("-ttl") for quirk in quirks} == {"ignores_ttl"}
    assert not any(quirks for model, quirks in rows if not model.endswith("-ttl"))


def test_devices_with_their_own_clock_are_those_to_be_timed(prepared: Prepared) -> None:
    assert len(prepared.timed) == BASIC > 0
    known = public_ids(prepared.dsn, prepared.timed)
    assert len(known) == BASIC
    with psycopg.connect(prepared.dsn) as connection:
        models = connection.execute(
            "select distinct model from device where public_id = any(%s)", [list(known)]
        ).fetchall()
        connection.execute("update device set public_id = 'other' where public_id = %s", [min(known)])
    assert models == [("sim-basic-lock",)]
    # A bike that was used is known again.
    assert public_ids(prepared.dsn, prepared.timed) == known - {min(known)} | {"other"}


def test_the_next_demo_begins_with_nothing_of_the_last(stack: Stack, prepared: Prepared) -> None:
    with redis.Redis.from_url(stack.redis.url()) as client:
        client.set("left", "over")
        smaller = build_fleet(5, seed=2, secret=b"s")
        again = prepare(stack, smaller)
        assert client.keys() == []
    assert registered(again.dsn) == {*smaller.device_ids, HAND_DEVICE}


def test_the_broker_lets_in_who_types_the_ready_made_line_and_nobody_else(
    stack: Stack, prepared: Prepared
) -> None:
    asyncio.run(export(stack, prepared.dsn))
    stack.broker.wait_until_let_in(HAND_DEVICE, HAND_PASSWORD)
    said = hand_line(stack.broker.device_port, HAND_DEVICE, HAND_PASSWORD, FLEET.places[0])
    command = shlex.split(next(line for line in said.splitlines() if "mosquitto_pub" in line))
    right = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert right.returncode == 0, right.stderr
    wrong = ["not-it" if word == HAND_PASSWORD else word for word in command]
    assert subprocess.run(wrong, capture_output=True, timeout=60, check=False).returncode != 0
