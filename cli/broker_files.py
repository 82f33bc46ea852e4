"""The verb `broker-files`: the shipped mosquitto configuration written into a folder, for a broker run elsewhere."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from cli.servers.broker_files import (
    BRIDGE_USER,
    DENIED_NAME,
    GATEWAY_USER,
    BrokerPlace,
    TlsPlace,
    configuration,
    rights,
)
from cli.servers.broker_files import certificates as certificate_files
from cli.servers.broker_users import password_file

BRIDGE_PASSWORD = "LATCHKEY_BRIDGE_PASSWORD"
GATEWAY_PASSWORD = "LATCHKEY_MQTT_PASSWORD"


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("broker-files")(broker_files)


def broker_files(
    *,
    into: Annotated[
        Path, typer.Option(help="The folder that mosquitto reads; its data goes to data/ in it.")
    ],
    address: Annotated[
        str,
        typer.Option(help="What the listeners without TLS bind to; never beyond a machine or a container."),
    ] = "127.0.0.1",
    tls_address: Annotated[str, typer.Option(help="What the listeners with TLS bind to.")] = "0.0.0.0",
    device_port: Annotated[int, typer.Option(help="Listener for devices.")] = 1883,
    internal_port: Annotated[int, typer.Option(help="Listener for gateways.")] = 1884,
    certificates: Annotated[
        Path | None,
        typer.Option(help="The folder of `device ca`: where it has a server certificate, TLS is served."),
    ] = None,
    tls_port: Annotated[int, typer.Option(help="Listener with TLS and passwords.")] = 8883,
    certificate_port: Annotated[int, typer.Option(help="Listener with TLS and client certificates.")] = 8884,
) -> None:
    """Writes mosquitto.conf, rights and the passwords of the internal users; devices that are listed stay.

    Passwords come from LATCHKEY_MQTT_PASSWORD (gateways) and LATCHKEY_BRIDGE_PASSWORD (load generators and bridges;
    without it there is no such user).

    Example: LATCHKEY_MQTT_PASSWORD=… ./latchkey broker-files --into /etc/mosquitto/latchkey
    """
    gateway_password = os.environ.get(GATEWAY_PASSWORD, "")
    if not gateway_password:
        raise typer.BadParameter(f"set {GATEWAY_PASSWORD}")
    users = {GATEWAY_USER: gateway_password}
    if bridge_password := os.environ.get(BRIDGE_PASSWORD, ""):
        users[BRIDGE_USER] = bridge_password
    tls = None
    if certificates is not None and (certificates / "server.crt").exists():
        tls = TlsPlace(address=tls_address, port=tls_port, certificate_port=certificate_port)
    data = into / "data"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = BrokerPlace(
        folder=into,
        data=data,
        device_address=address,
        device_port=device_port,
        internal_address=address,
        internal_port=internal_port,
        tls=tls,
    )
    write_all(place, users, certificates)
    print(f"wrote {into}/mosquitto.conf and what it names")


def write_all(place: BrokerPlace, users: Mapping[str, str], certificates: Path | None) -> None:
    """Configuration, rights, internal users and certificates; devices that are listed stay."""
    into = place.folder
    _write(into / "mosquitto.conf", configuration(place))
    _write(into / "devices.acl", rights("devices"))
    _write(into / "internal.acl", rights("internal"))
    _write(into / "internal.passwords", password_file(users))
    if place.tls is not None and certificates is not None:
        for name, content in certificate_files(certificates).items():
            _write(into / name, content.decode())
        _write(into / DENIED_NAME, rights("devices"))
    if not (into / "devices.passwords").exists():
        _write(into / "devices.passwords", "")


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)
