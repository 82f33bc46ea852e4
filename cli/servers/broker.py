"""A private mosquitto with the shipped configuration: one listener for devices, one for gateways."""

import secrets
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from cli.servers.account import Account
from cli.servers.broker_files import (
    BRIDGE_USER,
    CERTIFICATE_FILES,
    DENIED_NAME,
    GATEWAY_USER,
    BrokerPlace,
    TlsPlace,
    certificates,
    configuration,
    rights,
)
from cli.servers.broker_users import password_line
from cli.servers.errors import ProgramMissing, ServerSilent
from cli.servers.mqtt_probe import connack_code
from cli.servers.private_server import NotYet, PrivateServer

RELOAD_DEADLINE_S = 30.0
DATABASE_NAME = "mosquitto.db"
PROBE_USER = "lk-probe"
"""No device can have this name: the registry refuses ids that begin with `lk-`."""


class PrivateBroker(PrivateServer):
    """mosquitto with persistence: sessions and queues survive an orderly restart."""

    name = "mosquitto"
    port_count = 4

    def __init__(self, data_dir: Path, account: Account, gateway_password: str, bridge_password: str) -> None:
        super().__init__(data_dir, account)
        self.gateway_password = gateway_password
        self.bridge_password = bridge_password
        self.gateway_user = GATEWAY_USER
        self.bridge_user = BRIDGE_USER
        self._config_path = data_dir / "mosquitto.conf"
        self._devices_path = data_dir / "devices.passwords"
        self._lines: dict[str, tuple[str, str]] = {}
        """device id -> (password, its line): a line that stands is not hashed again."""

    @property
    def devices_path(self) -> Path:
        """The password file of the devices."""
        return self._devices_path

    @property
    def device_port(self) -> int:
        """For devices: name and password, client id = name."""
        return self.ports[0]

    @property
    def internal_port(self) -> int:
        """For gateways and bridges."""
        return self.ports[1]

    @property
    def tls_port(self) -> int:
        """For devices over TLS with name and password; served only once certificates were installed."""
        return self.ports[2]

    @property
    def certificate_port(self) -> int:
        """For devices over TLS with a certificate."""
        return self.ports[3]

    @property
    def pid_path(self) -> Path:
        """Names the running process."""
        return self.data_dir / "mosquitto.pid"

    def install_certificates(self, folder: Path) -> None:
        """Serves TLS with what a certificate authority's folder has; restarts a running broker."""
        for name, content in certificates(folder).items():
            self._write(self.data_dir / name, content.decode())
        self._write(self.data_dir / DENIED_NAME, rights("devices"))
        self._restart()

    def remove_certificates(self) -> None:
        """Back to the two listeners without TLS; restarts a running broker."""
        for name in (*CERTIFICATE_FILES, DENIED_NAME):
            (self.data_dir / name).unlink(missing_ok=True)
        self._restart()

    def _restart(self) -> None:
        if self.running:
            self.configure()
            self.terminate()
            self.start()

    def prepare(self) -> None:
        """Writes rights and the internal users; devices of an earlier run stay."""
        self._write(self.data_dir / "devices.acl", rights("devices"))
        self._write(self.data_dir / "internal.acl", rights("internal"))
        internal = {self.gateway_user: self.gateway_password, self.bridge_user: self.bridge_password}
        lines = "".join(f"{password_line(name, password)}\n" for name, password in internal.items())
        self._write(self.data_dir / "internal.passwords", lines)
        if not self._devices_path.exists():
            self._write(self._devices_path, "")

    def configure(self) -> None:
        """Fills in the shipped configuration."""
        place = BrokerPlace(
            folder=self.data_dir,
            data=self.data_dir,
            device_address="127.0.0.1",
            device_port=self.device_port,
            internal_address="127.0.0.1",
            internal_port=self.internal_port,
            tls=self._tls(),
        )
        self._write(self._config_path, configuration(place))

    def _tls(self) -> TlsPlace | None:
        if not (self.data_dir / "server.crt").exists():
            return None
        return TlsPlace(address="127.0.0.1", port=self.tls_port, certificate_port=self.certificate_port)

    def command(self) -> list[str]:
        """Raises ProgramMissing."""
        # Debian keeps daemons in a folder that a plain user's PATH does not name.
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise ProgramMissing("mosquitto", "mosquitto")
        return [program, "-c", str(self._config_path)]

    def ask(self) -> None:
        """A CONNECT of the bridge user on the internal listener."""
        code = connack_code(self.internal_port, PROBE_USER, self.bridge_user, self.bridge_password)
        if code != 0:
            raise NotYet(f"CONNACK {code}")

    def forget(self) -> None:
        """Restarts without sessions and queues; who may connect stays."""
        self.kill()
        (self.data_dir / DATABASE_NAME).unlink(missing_ok=True)
        self.start()

    def set_devices(self, devices: Mapping[str, str]) -> None:
        """Makes device id -> password the whole list of who may connect; returns when the broker knows it."""
        self._lines = {
            name: kept
            if (kept := self._lines.get(name)) and kept[0] == password
            else (password, password_line(name, password))
            for name, password in devices.items()
        }
        probe_password = secrets.token_urlsafe(12)
        lines = [line for _, line in self._lines.values()]
        lines.append(password_line(PROBE_USER, probe_password))
        self._write(self._devices_path, "\n".join(lines) + "\n")
        if self._child is not None and self.running:
            self._child.send_signal(signal.SIGHUP)
            # The new file is in force when its probe user is welcome.
            self.wait_until_let_in(PROBE_USER, probe_password)

    def wait_until_let_in(self, name: str, password: str) -> None:
        """Returns once the broker knows this device. Raises ServerSilent."""
        deadline = time.monotonic() + RELOAD_DEADLINE_S
        while True:
            try:
                code = connack_code(self.device_port, name, name, password)
            except OSError:
                code = -1
            if code == 0:
                return
            if time.monotonic() > deadline:
                raise ServerSilent(
                    self.name, RELOAD_DEADLINE_S, f"password file not in force: CONNACK {code}"
                )
            time.sleep(0.01)

    def _write(self, path: Path, text: str) -> None:
        """In one step, so that a reload never reads half a file."""
        fresh = path.with_name(f"{path.name}.new")
        fresh.write_text(text)
        self.account.own(fresh, 0o600)
        fresh.replace(path)
