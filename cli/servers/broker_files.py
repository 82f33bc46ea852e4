"""The shipped mosquitto configuration with addresses and folders filled in."""

from dataclasses import dataclass
from pathlib import Path
from string import Template

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "mosquitto"
GATEWAY_USER = "lk-gateway"
BRIDGE_USER = "lk-bridge"
CERTIFICATE_FILES = ("ca.crt", "server.crt", "server.key", "devices.crl")
DENIED_NAME = "certificates.acl"


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
    tls: "TlsPlace | None" = None
    """Only where there are certificates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPlace:
    """Where devices come in over TLS; the certificates lie in the folder of the configuration."""

    address: str
    port: int
    certificate_port: int


def configuration(place: BrokerPlace) -> str:
    """The text of mosquitto.conf. Raises KeyError for a placeholder that nothing fills."""
    listeners = ""
    if place.tls is not None:
        listeners = _template("tls").substitute(
            folder=place.folder,
            tls_address=place.tls.address,
            tls_port=place.tls.port,
            certificate_port=place.tls.certificate_port,
        )
    return _template("mosquitto").substitute(
        folder=place.folder,
        data=place.data,
        device_address=place.device_address,
        device_port=place.device_port,
        internal_address=place.internal_address,
        internal_port=place.internal_port,
        tls_listeners=listeners,
    )


def certificates(folder: Path) -> dict[str, bytes]:
    """What a broker needs of a certificate authority's folder, by name. Raises FileNotFoundError."""
    return {name: (folder / name).read_bytes() for name in CERTIFICATE_FILES}


def rights(listener: str) -> str:
    """The ACL of the listener `devices` or `internal`."""
    return (DEPLOY / f"{listener}.acl").read_text()


def _template(name: str) -> Template:
    return Template((DEPLOY / f"{name}.conf.template").read_text())
