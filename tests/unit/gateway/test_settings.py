"""A wrong setting is refused with its name and what it must be."""

import pytest

from gateway.key_wrapping import new_key_encryption_key
from gateway.settings import BadSetting, Settings

NEEDED = {
    "LATCHKEY_POSTGRES_DSN": "postgresql://h/d",
    "LATCHKEY_REDIS_URL": "redis://h:6379/0",
    "LATCHKEY_KEY_ENCRYPTION_KEY": new_key_encryption_key("a"),
}


def test_three_settings_are_enough() -> None:
    settings = Settings.from_environment(NEEDED)
    assert settings.gateway_lanes == tuple(range(16))
    assert settings.gateway_name


def test_lanes_are_listed_or_ranged() -> None:
    assert Settings.from_environment(NEEDED | {"LATCHKEY_GATEWAY_LANES": "0,3, 8-10"}).gateway_lanes == (
        0,
        3,
        8,
        9,
        10,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LATCHKEY_POSTGRES_DSN", ""),
        ("LATCHKEY_MQTT_PORT", "0"),
        ("LATCHKEY_MQTT_PORT", "mqtt"),
        ("LATCHKEY_GATEWAY_HTTP_PORT", "65536"),
        ("LATCHKEY_GATEWAY_LANES", "0-16"),
        ("LATCHKEY_GATEWAY_LANES", ""),
        ("LATCHKEY_LOG_LEVEL", "loud"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadSetting) as refused:
        Settings.from_environment(NEEDED | {name: value})
    assert refused.value.name == name


def test_what_is_needed_has_no_default() -> None:
    with pytest.raises(BadSetting, match="LATCHKEY_POSTGRES_DSN"):
        Settings.from_environment({})


def test_without_a_key_for_keys_it_says_how_to_get_one() -> None:
    without = {name: value for name, value in NEEDED.items() if "KEY" not in name.removeprefix("LATCHKEY_")}
    with pytest.raises(BadSetting, match=r"LATCHKEY_KEY_ENCRYPTION_KEY is not set.*\./latchkey key new"):
        Settings.from_environment(without)


def test_a_wrong_key_for_keys_is_not_repeated() -> None:
    with pytest.raises(BadSetting) as refused:
        Settings.from_environment(NEEDED | {"LATCHKEY_KEY_ENCRYPTION_KEY": "a:secret"})
    assert "secret" not in str(refused.value)
    assert NEEDED["LATCHKEY_KEY_ENCRYPTION_KEY"][2:] not in repr(Settings.from_environment(NEEDED))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LATCHKEY_POSTGRES_DSN", "host=h password=correct horse"),
        ("LATCHKEY_REDIS_URL", "redis://:correct/horse@h:6379/0"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_its_password(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=name) as refused:
        Settings.from_environment(NEEDED | {name: value})
    assert "horse" not in str(refused.value)
