import asyncio
from pathlib import Path

import psycopg
import pytest

from cli import device_actions, running
from cli.device_actions import ModelWish, Refused
from cli.servers.broker import PrivateBroker
from cli.servers.mqtt_probe import connack_code
from gateway.ports import StoreUnavailable
from tests.support.waiting import until


def test_registering_twice_changes_nothing(database: str) -> None:
    wish = ModelWish("city_bike", "bike", 60)
    assert device_actions.register(database, "bike-1", wish)
    assert not device_actions.register(database, "bike-1", wish)


def test_silences_follow_from_the_heartbeat() -> None:
    model = ModelWish("m", "cabinet", 60, 12).model()
    assert (model.heartbeat_s, model.quiet_after_s, model.lost_after_s, model.slot_count) == (
        60,
        150,
        600,
        12,
    )


def test_the_broker_lets_a_device_in_that_it_was_told_of(broker: PrivateBroker) -> None:
    settings = {running.BROKER_PASSWORDS: str(broker.devices_path), running.BROKER_PID: str(broker.pid)}
    assert device_actions.tell_broker(settings, "bike-9", "secret")
    until(lambda: connack_code(broker.device_port, "x", "bike-9", "secret") == 0)
    assert not device_actions.tell_broker({}, "bike-9", "secret")


def test_the_first_steps_hold_a_line_that_can_be_pasted() -> None:
    lines = device_actions.first_steps({running.DEVICE_PORT: "15883"}, "bike-1", "secret")
    assert any("mosquitto_pub" in line and "-p 15883" in line and "-P 'secret'" in line for line in lines)


def test_a_frame_is_shown_as_text_only_where_it_is_printable(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for number, frame in enumerate((b'{"a":1}', b"\x1b[2J\xff")):
            connection.execute(
                "INSERT INTO quarantine (device_id, topic, reason, place, received_at, frame)"
                " VALUES (%s, 'lk/v1/00/x/report', 'malformed', 'seq', now(), %s)",
                (f"bike-{number}", frame),
            )
    lines = asyncio.run(device_actions.quarantine_lines(database, None, None, 10))
    assert any(line.endswith('7 bytes: {"a":1}') for line in lines)
    assert any(line.endswith("1b5b324aff") for line in lines)
    assert asyncio.run(device_actions.mark_for_replay(database, [], "malformed")) == 2


def test_a_device_nobody_registered_cannot_be_rebased(database: str, redis_url: str) -> None:
    with pytest.raises(Refused):
        asyncio.run(device_actions.rebase(database, redis_url, "nobody"))


def test_rebuilding_a_lost_redis_is_left_to_the_gateway(database: str, redis_url: str) -> None:
    device_actions.register(database, "bike-1", ModelWish("city_bike", "bike", 60))
    with pytest.raises(StoreUnavailable, match="gateway must rebuild"):
        asyncio.run(device_actions.rebase(database, redis_url, "bike-1"))


def test_a_database_that_is_away_is_said_so() -> None:
    with pytest.raises(Refused, match="PostgreSQL does not answer"):
        device_actions.register("postgresql://x@127.0.0.1:1/y", "bike-1", ModelWish("city_bike"))


def test_a_password_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        device_actions.tell_broker({running.BROKER_PASSWORDS: str(tmp_path / "absent")}, "bike-1", "x")
