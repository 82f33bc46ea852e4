import asyncio
import shlex

import psycopg
import pytest

from cli import device_actions, running
from cli.device_actions import ModelWish, Refused
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import DeviceId
from gateway.key_wrapping import KeyWrapping, new_key_encryption_key
from gateway.ports import StoreUnavailable
from gateway.stores.bulk_import import Credentials

WRAPPING = KeyWrapping.parse(new_key_encryption_key("t"))


def test_registering_twice_changes_nothing(database: str) -> None:
    wish = ModelWish("city_bike", "bike", 60)
    made = device_actions.register(database, "bike-1", wish, WRAPPING)
    assert made is not None
    assert made.password not in repr(made)
    assert device_actions.register(database, "bike-1", wish, WRAPPING) is None


def test_silences_follow_from_the_heartbeat() -> None:
    model = ModelWish("m", "cabinet", 60, 12).model()
    assert (model.heartbeat_s, model.quiet_after_s, model.lost_after_s, model.slot_count) == (
        60,
        150,
        600,
        12,
    )


def test_the_first_steps_hold_a_line_that_can_be_pasted() -> None:
    made = Credentials(DeviceId("bike-1"), "secret", DeviceKey(7, bytes(32)))
    lines = device_actions.first_steps({running.DEVICE_PORT: "15883"}, "bike-1", made)
    assert any("mosquitto_pub" in line and "-p 15883" in line and "-P secret " in line for line in lines)
    assert f"key       7:{'00' * 32}" in lines
    assert any("device password" in line for line in device_actions.first_steps({}, "bike-1", None))


def test_a_key_for_keys_that_is_missing_is_said_so() -> None:
    with pytest.raises(Refused, match="LATCHKEY_KEY_ENCRYPTION_KEY is not set"):
        device_actions.wrapping_of({})


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
    device_actions.register(database, "bike-1", ModelWish("city_bike", "bike", 60), WRAPPING)
    with pytest.raises(StoreUnavailable, match="gateway must rebuild"):
        asyncio.run(device_actions.rebase(database, redis_url, "bike-1"))


def test_a_database_that_is_away_is_said_so() -> None:
    with pytest.raises(Refused, match="PostgreSQL does not answer"):
        device_actions.register("postgresql://x@127.0.0.1:1/y", "bike-1", ModelWish("city_bike"), WRAPPING)


def test_a_password_with_a_quote_in_it_can_be_pasted() -> None:
    made = Credentials(DeviceId("bike-1"), "it's $HOME", None)
    (pasted,) = [line for line in device_actions.first_steps({}, "bike-1", made) if "mosquitto_pub" in line]
    words = shlex.split(pasted)
    assert words[words.index("-P") + 1] == "it's $HOME"


@pytest.mark.parametrize("wish", [ModelWish("m", "bike", 0), ModelWish("m", "bike", 2**31), ModelWish("m")])
def test_whatever_the_database_does_not_take_is_a_sentence(empty_database: str, wish: ModelWish) -> None:
    with pytest.raises(Refused, match=r"PostgreSQL: .*latchkey migrate"):
        device_actions.register(empty_database, "bike-1", wish, WRAPPING)


def test_a_model_that_the_database_does_not_take_is_a_sentence(database: str) -> None:
    with pytest.raises(Refused, match="PostgreSQL: "):
        device_actions.register(database, "bike-1", ModelWish("m", "bike", 2**31 - 1), WRAPPING)
