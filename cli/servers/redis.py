"""A private Redis: memory only, loopback only, with a password."""

import shutil
import socket
from pathlib import Path

from cli.servers.account import Account
from cli.servers.errors import ProgramMissing
from cli.servers.private_server import NotYet, PrivateServer

ASK_TIMEOUT_S = 2.0


class PrivateRedis(PrivateServer):
    """Redis keeps nothing over a restart: live states are rebuilt from PostgreSQL."""

    name = "redis"

    def __init__(self, data_dir: Path, account: Account, password: str) -> None:
        super().__init__(data_dir, account)
        self._password = password
        self._config_path = data_dir / "redis.conf"

    def url(self, db: int = 0) -> str:
        """Where clients connect."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/{db}"

    def prepare(self) -> None:
        """Nothing to make."""

    def configure(self) -> None:
        """Writes the configuration; the password never stands on a command line."""
        lines = (
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self._password}",
            f"dir {quoted(str(self.data_dir))}",
            'save ""',
            "appendonly no",
            "daemonize no",
            "databases 64",
            # A feed reader that is 256 MB behind is dropped and refills its view.
            "client-output-buffer-limit normal 256mb 0 0",
        )
        self._config_path.write_text("\n".join(lines) + "\n")
        self.account.own(self._config_path, 0o600)

    def command(self) -> list[str]:
        """Raises ProgramMissing."""
        program = shutil.which("redis-server")
        if program is None:
            raise ProgramMissing("redis-server", "redis-server")
        return [program, str(self._config_path)]

    def ask(self) -> None:
        """AUTH and PING."""
        with socket.create_connection(("127.0.0.1", self.port), ASK_TIMEOUT_S) as connection:
            connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:
                if not (received := connection.recv(256)):
                    break
                answer += received
        if answer != b"+OK\r\n+PONG\r\n":
            raise NotYet(answer.decode(errors="replace"))


def quoted(text: str) -> str:
    """One word of a Redis configuration, whatever is in it: a path may hold spaces."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
