"""The shipped mosquitto configuration with addresses and folders filled in."""

from dataclasses import dataclass
from pathlib import Path
from string import Template

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "mosquitto"
GATEWAY_USER = "lk-gateway"
BRIDGE_USER = "lk-bridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerPlace:
    """Where a broker listens and keeps its files."""

    folder: Path
    """Configuration, rights and passwords."""
    data: Path
    device_address: str
    device_port: int
    internal_address: str
    internal_port: int


def configuration(place: BrokerPlace) -> str:
    """The text of mosquitto.conf. Raises KeyError for a placeholder that nothing fills."""
    template = Template((DEPLOY / "mosquitto.conf.template").read_text())
    return template.substitute(
        folder=place.folder,
        data=place.data,
        device_address=place.device_address,
        device_port=place.device_port,
        internal_address=place.internal_address,
        internal_port=place.internal_port,
    )


def rights(listener: str) -> str:
    """The ACL of the listener `devices` or `internal`."""
    return (DEPLOY / f"{listener}.acl").read_text()
