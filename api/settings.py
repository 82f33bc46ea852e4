"""What the API process is told from outside, read once."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.addresses import postgres_dsn, redis_url


class BadSettings(Exception):
    """The environment does not say what the API needs. The sentence names the variable and the remedy."""


@dataclass(frozen=True, slots=True)
class Settings:
    """From LATCHKEY_* variables; every field has its bound in `from_environment`."""

    postgres_dsn: str
    redis_url: str
    host: str = "127.0.0.1"
    """Loopback only, while the API has no authentication; anything in a container, whose published ports decide
    who reaches it."""
    port: int = 8080
    """0 takes a free one, which the ready line names."""
    web_dir: Path | None = None
    """The built page to serve at `/`."""
    log_level: str = "info"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises BadSettings, with the variable to set."""
        return cls(
            postgres_dsn=_secret(environment, "LATCHKEY_POSTGRES_DSN", postgres_dsn),
            redis_url=_secret(environment, "LATCHKEY_REDIS_URL", redis_url),
            host=_host(environment),
            port=_port(environment.get("LATCHKEY_API_PORT") or "8080"),
            web_dir=_web_dir(environment.get("LATCHKEY_WEB_DIR") or ""),
            log_level=_log_level(environment.get("LATCHKEY_LOG_LEVEL") or "info"),
        )


def _needed(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise BadSettings(f"{name} is not set")
    return value


def _secret(environment: Mapping[str, str], name: str, check: Callable[[str], str]) -> str:
    """A password stands in it, so the refusal does not repeat it."""
    try:
        return check(_needed(environment, name))
    except ValueError as error:
        raise BadSettings(f"{name} cannot be used: {error}") from None


def _host(environment: Mapping[str, str]) -> str:
    host = environment.get("LATCHKEY_API_HOST") or "127.0.0.1"
    contained = environment.get("LATCHKEY_API_CONTAINED") or "no"
    if contained not in ("yes", "no"):
        raise BadSettings(f"LATCHKEY_API_CONTAINED is neither yes nor no: {contained!r}")
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise BadSettings(f"LATCHKEY_API_HOST is no address: {host!r}") from error
    if not is_loopback and contained == "no":
        raise BadSettings(
            f"LATCHKEY_API_HOST is {host}: the API has no authentication yet, so it binds loopback only. "
            "Use 127.0.0.1 and put a proxy that asks who is calling in front of it."
        )
    return host


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65_535:
        raise BadSettings(f"LATCHKEY_API_PORT is no port: {text!r}")
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
