"""Everything a gateway process is told from outside, read once, with units and bounds."""

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gateway.addresses import postgres_dsn, redis_url
from gateway.key_wrapping import SETTING, WANTED, BadKeyEncryptionKey, KeyWrapping

LANES = 16

Value = TypeVar("Value")


class BadSetting(ValueError):
    """A setting of the environment that cannot be used."""

    def __init__(self, name: str, wanted: str, got: str, *, detail: str = "") -> None:
        super().__init__(f"{name} {detail}" if detail else f"{name} must be {wanted}, not {got!r}")
        self.name = name


@dataclass(frozen=True, slots=True)
class Settings:
    """One gateway process. Every field is one environment variable, `LATCHKEY_` and its name in capitals."""

    postgres_dsn: str
    redis_url: str
    mqtt_host: str
    mqtt_port: int
    mqtt_username: str
    mqtt_password: str
    gateway_name: str
    """Owner of leases: the same name takes its lanes back at once after a crash, so it must be unique."""
    gateway_http_port: int
    """Health and metrics, on loopback; 0 picks a free one."""
    gateway_lanes: tuple[int, ...]
    """The shards this gateway tries to hold."""
    broker_queue_messages: int
    """`max_queued_messages` of the broker: the alarm rises at half of it."""
    broker_folder: Path | None
    """Where the broker keeps its database, if on this machine: its disk is then watched."""
    broker_passwords: Path | None
    """Where the broker reads who may connect: this gateway then writes that file, while no other does."""
    broker_pid_file: Path | None
    """Names the broker's process, which is told that the list changed; without it something else notices."""
    key_encryption_key: KeyWrapping
    """Opens the keys of devices; may come from the file that `LATCHKEY_KEY_ENCRYPTION_KEY_FILE` names."""
    reports_per_device: int
    """Most reports of one device within five minutes; 0 for no bound."""
    registrations_per_hour: int
    """Most devices of one model that a hello registers within an hour; 0 for no bound."""
    log_level: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Raises BadSetting, naming the variable and what it must be."""
        read = _Reader(environment)
        return cls(
            postgres_dsn=read.secret("POSTGRES_DSN", "a PostgreSQL connection string", postgres_dsn),
            redis_url=read.secret("REDIS_URL", "an address such as redis://127.0.0.1:6379/0", redis_url),
            mqtt_host=read.text("MQTT_HOST", "a host name", "127.0.0.1"),
            mqtt_port=read.whole("MQTT_PORT", 1, 65_535, 1884),
            mqtt_username=read.text("MQTT_USERNAME", "a user of the internal listener", "lk-gateway"),
            mqtt_password=read.text("MQTT_PASSWORD", "that user's password", "", empty=True),
            gateway_name=read.text("GATEWAY_NAME", "a name no other gateway has", socket.gethostname()),
            gateway_http_port=read.whole("GATEWAY_HTTP_PORT", 0, 65_535, 8090),
            gateway_lanes=read.parsed("GATEWAY_LANES", "lanes such as 0-15 or 0,3,8-11", _lanes, "0-15"),
            broker_queue_messages=read.whole("BROKER_QUEUE_MESSAGES", 100, 2**40, 375_000),
            broker_folder=read.parsed("BROKER_FOLDER", "a folder", _folder, "", empty=True),
            broker_passwords=read.parsed("BROKER_PASSWORDS", "a file", _folder, "", empty=True),
            broker_pid_file=read.parsed("BROKER_PID_FILE", "a file", _folder, "", empty=True),
            key_encryption_key=_key_wrapping(environment),
            reports_per_device=read.whole("REPORTS_PER_DEVICE", 0, 2**31, 600),
            registrations_per_hour=read.whole("REGISTRATIONS_PER_HOUR", 0, 2**31, 1_000),
            log_level=read.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
        )


class _Reader:
    """Reads one variable after the other and says exactly what is wrong with it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, wanted: str, default: str | None = None, *, empty: bool = False) -> str:
        value = self._environment.get(f"LATCHKEY_{name}", default)
        if value is None or (not value and not empty):
            raise BadSetting(f"LATCHKEY_{name}", wanted, "")
        return value

    def secret(self, name: str, wanted: str, check: Callable[[str], str]) -> str:
        """Text that holds a password: the refusal does not repeat it."""
        value = self.text(name, wanted)
        try:
            return check(value)
        except ValueError:
            raise BadSetting(f"LATCHKEY_{name}", wanted, "what was given") from None

    def parsed(
        self, name: str, wanted: str, parse: Callable[[str], Value], default: str, *, empty: bool = False
    ) -> Value:
        value = self.text(name, wanted, default, empty=empty)
        try:
            return parse(value)
        except ValueError:
            raise BadSetting(f"LATCHKEY_{name}", wanted, value) from None

    def whole(self, name: str, low: int, high: int, default: int) -> int:
        wanted = f"a whole number from {low} to {high}"
        value = self.parsed(name, wanted, int, str(default))
        if not low <= value <= high:
            raise BadSetting(f"LATCHKEY_{name}", wanted, str(value))
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(name, f"one of {', '.join(choices)}", default)
        for choice in choices:
            if value.casefold() == choice.casefold():
                return choice
        raise BadSetting(f"LATCHKEY_{name}", f"one of {', '.join(choices)}", value)


def _key_wrapping(environment: Mapping[str, str]) -> KeyWrapping:
    try:
        return KeyWrapping.from_environment(environment)
    except BadKeyEncryptionKey as error:
        raise BadSetting(SETTING, WANTED, "what was given", detail=str(error)) from None


def _folder(text: str) -> Path | None:
    return Path(text) if text else None


def _lanes(text: str) -> tuple[int, ...]:
    """`0-3,8` as (0, 1, 2, 3, 8). Raises ValueError."""
    lanes: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        lanes.update(range(int(first), int(last if dash else first) + 1))
    if not lanes or not lanes <= set(range(LANES)):
        raise ValueError(text)
    return tuple(sorted(lanes))
