"""Settings are whole or refused, with the variable named."""

from pathlib import Path

import pytest

from api.settings import BadSettings, Settings
from gateway.key_wrapping import new_key_encryption_key

NEEDED = {
    "LATCHKEY_POSTGRES_DSN": "postgresql://db",
    "LATCHKEY_REDIS_URL": "redis://here",
    "LATCHKEY_KEY_ENCRYPTION_KEY": new_key_encryption_key("a"),
}


def test_what_is_left_out_has_a_default_on_loopback() -> None:
    settings = Settings.from_environment(NEEDED)
    assert (settings.host, settings.port, settings.web_dir, settings.log_level) == (
        "127.0.0.1",
        8080,
        None,
        "info",
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_is_accepted(host: str) -> None:
    assert Settings.from_environment({**NEEDED, "LATCHKEY_API_HOST": host}).listens_beyond_loopback is False


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "8.8.8.8"])
def test_other_machines_may_reach_it_and_that_is_known(host: str) -> None:
    settings = Settings.from_environment({**NEEDED, "LATCHKEY_API_HOST": host})
    assert settings.listens_beyond_loopback
    assert settings.auth.doors.hosts is None


def test_a_container_may_bind_what_its_published_ports_reach() -> None:
    contained = {**NEEDED, "LATCHKEY_API_HOST": "0.0.0.0", "LATCHKEY_API_CONTAINED": "yes"}
    settings = Settings.from_environment(contained)
    assert settings.host == "0.0.0.0"
    assert not settings.listens_beyond_loopback


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LATCHKEY_POSTGRES_DSN", ""),
        ("LATCHKEY_REDIS_URL", ""),
        ("LATCHKEY_API_HOST", "somewhere"),
        ("LATCHKEY_API_CONTAINED", "perhaps"),
        ("LATCHKEY_API_PORT", "-1"),
        ("LATCHKEY_API_PORT", "65536"),
        ("LATCHKEY_API_PORT", "http"),
        ("LATCHKEY_WEB_DIR", "/nowhere/at/all"),
        ("LATCHKEY_LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=name):
        Settings.from_environment({**NEEDED, name: value})


def test_a_page_that_was_built_is_served(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>map</p>")
    assert Settings.from_environment({**NEEDED, "LATCHKEY_WEB_DIR": str(tmp_path)}).web_dir == tmp_path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LATCHKEY_POSTGRES_DSN", "host=h password=correct horse"),
        ("LATCHKEY_REDIS_URL", "redis://:correct/horse@h:6379/0"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_its_password(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=name) as refused:
        Settings.from_environment({**NEEDED, name: value})
    assert "horse" not in str(refused.value)


def test_what_a_broker_must_say_is_long_and_never_shown() -> None:
    secret = "0123456789abcdef"
    settings = Settings.from_environment({**NEEDED, "LATCHKEY_BROKER_HOOK_SECRET": secret})
    assert settings.broker_secret == secret.encode()
    assert secret not in repr(settings)
    with pytest.raises(BadSettings, match="LATCHKEY_BROKER_HOOK_SECRET") as refused:
        Settings.from_environment({**NEEDED, "LATCHKEY_BROKER_HOOK_SECRET": "short"})
    assert "short" not in str(refused.value)


def test_devices_are_told_an_address_that_is_one() -> None:
    address = "mqtts://mqtt.example.org:8883"
    assert Settings.from_environment({**NEEDED, "LATCHKEY_BROKER_ADDRESS": address}).broker_address == address
    for wrong in ("mqtt.example.org", "http://x", "mqtt://user:secret@x"):
        with pytest.raises(BadSettings, match="LATCHKEY_BROKER_ADDRESS"):
            Settings.from_environment({**NEEDED, "LATCHKEY_BROKER_ADDRESS": wrong})


def test_without_a_key_for_keys_it_says_how_to_get_one() -> None:
    without = {name: value for name, value in NEEDED.items() if "ENCRYPTION" not in name}
    with pytest.raises(BadSettings, match=r"\./latchkey key new"):
        Settings.from_environment(without)
