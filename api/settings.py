"""What the API process is told from outside, read once."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from api.auth.settings import AuthSettings, secret_of
from api.bad_settings import BadSettings as BadSettings
from gateway.addresses import postgres_dsn, redis_url
from gateway.key_wrapping import SETTING, BadKeyEncryptionKey, KeyWrapping

MIN_BROKER_SECRET_BYTES = 16
"""Nobody guesses it at the rate of a network."""


@dataclass(frozen=True, slots=True)
class Settings:
    """From LATCHKEY_* variables; every field has its bound in `from_environment`."""

    postgres_dsn: str
    redis_url: str
    auth: AuthSettings
    key_encryption_key: KeyWrapping
    host: str = "127.0.0.1"
    """Beyond loopback something that ends TLS must stand in front: tokens would travel in the clear."""
    port: int = 8080
    """0 takes a free one, which the ready line names."""
    web_dir: Path | None = None
    """The built page to serve at `/`."""
    log_level: str = "info"
    broker_secret: bytes = field(default=b"", repr=False)
    """What a broker that asks `/v1/broker/…` must say; without it none is answered."""
    broker_address: str = "mqtt://127.0.0.1:1883"
    """Where a device that enrols is told to connect."""
    contained: bool = False
    """In a container, whose published ports decide who reaches it."""

    @property
    def listens_beyond_loopback(self) -> bool:
        """Whether other machines may reach it, without anybody having published the port for them."""
        return (
            not self.contained
            and self.host != "localhost"
            and not ipaddress.ip_address(self.host).is_loopback
        )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises BadSettings, with the variable to set."""
        host = _host(environment)
        return cls(
            postgres_dsn=_secret(environment, "LATCHKEY_POSTGRES_DSN", postgres_dsn),
            redis_url=_secret(environment, "LATCHKEY_REDIS_URL", redis_url),
            auth=AuthSettings.from_environment(environment, bound_host=host),
            key_encryption_key=_key_wrapping(environment),
            host=host,
            port=_port(environment.get("LATCHKEY_API_PORT") or "8080"),
            web_dir=_web_dir(environment.get("LATCHKEY_WEB_DIR") or ""),
            log_level=_log_level(environment.get("LATCHKEY_LOG_LEVEL") or "info"),
            broker_secret=_broker_secret(environment),
            broker_address=_broker_address(environment.get("LATCHKEY_BROKER_ADDRESS") or ""),
            contained=environment.get("LATCHKEY_API_CONTAINED") == "yes",
        )


_NEEDED = {
    "LATCHKEY_POSTGRES_DSN": "a connection string such as host=127.0.0.1 dbname=latchkey user=latchkey",
    "LATCHKEY_REDIS_URL": "an address such as redis://127.0.0.1:6379/0",
}
"""What to set it to."""


def _needed(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise BadSettings(f"{name} is not set: {_NEEDED[name]}")
    return value


def _secret(environment: Mapping[str, str], name: str, check: Callable[[str], str]) -> str:
    """A password stands in it, so the refusal does not repeat it."""
    try:
        return check(_needed(environment, name))
    except ValueError as error:
        raise BadSettings(f"{name} cannot be used: {error}") from None


def _key_wrapping(environment: Mapping[str, str]) -> KeyWrapping:
    try:
        return KeyWrapping.from_environment(environment)
    except BadKeyEncryptionKey as error:
        raise BadSettings(f"{SETTING} {error}") from None


def _broker_secret(environment: Mapping[str, str]) -> bytes:
    name = "LATCHKEY_BROKER_HOOK_SECRET"
    secret = secret_of(environment, name).encode()
    if secret and len(secret) < MIN_BROKER_SECRET_BYTES:
        raise BadSettings(
            f"{name} has fewer than {MIN_BROKER_SECRET_BYTES} bytes; make one: openssl rand -hex 24"
        )
    return secret


def _broker_address(text: str) -> str:
    address = text or "mqtt://127.0.0.1:1883"
    parts = urlsplit(address)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.username or parts.password:
        raise BadSettings(
            f"LATCHKEY_BROKER_ADDRESS is no address such as mqtts://mqtt.example.org:8883: {address!r}"
        )
    return address


def _host(environment: Mapping[str, str]) -> str:
    host = environment.get("LATCHKEY_API_HOST") or "127.0.0.1"
    if (environment.get("LATCHKEY_API_CONTAINED") or "no") not in ("yes", "no"):
        raise BadSettings("LATCHKEY_API_CONTAINED is neither yes nor no")
    try:
        if host != "localhost":
            ipaddress.ip_address(host)
    except ValueError as error:
        raise BadSettings(f"LATCHKEY_API_HOST is neither an address nor localhost: {host!r}") from error
    return host


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65_535:
        raise BadSettings(f"LATCHKEY_API_PORT is no port, 0 to 65535: {text!r}")
    return int(text)


def _web_dir(text: str) -> Path | None:
    if not text:
        return None
    folder = Path(text)
    if not (folder / "index.html").is_file():
        raise BadSettings(f"LATCHKEY_WEB_DIR has no index.html: {folder}")
    return folder


def _log_level(text: str) -> str:
    level = text.lower()
    if level not in ("debug", "info", "warning", "error"):
        raise BadSettings(f"LATCHKEY_LOG_LEVEL is none of debug, info, warning, error: {text!r}")
    return level
