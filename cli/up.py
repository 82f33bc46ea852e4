"""The verb `up`: servers, gateway and API on this machine, kept between runs, until Ctrl-C."""

import signal
import socket
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from cli import running
from cli.child_process import ChildProcess
from cli.page import ensure_page
from cli.running import UP_FOLDER
from cli.servers.errors import ServerDied, StackError
from cli.settings import TimescaleChoice, timescale_choice
from cli.stack import Stack

DATABASE = "latchkey"
WATCH_PERIOD_S = 0.5


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("up")(up)


def up(
    *,
    port: Annotated[
        int, typer.Option(help="Port of page and API on the loopback address.", min=0, max=65_535)
    ] = 8080,
    data: Annotated[Path, typer.Option(help="Where the servers keep their data.")] = UP_FOLDER,
    timescale: Annotated[str, typer.Option(help="auto, off or require.")] = "auto",
) -> None:
    """Starts broker, Redis, PostgreSQL, gateway and API in the foreground and prints their addresses.

    Data stays in .latchkey/up and is there again at the next start. In a second terminal register a device:

      ./latchkey device register bike-0001 --model city_bike --kind bike
    """
    _refuse_taken(port)
    choice = timescale_choice(timescale)
    with Stack.started(data, timescale=choice) as stack:
        dsn = stack.postgres.ensure_database(DATABASE)
        _migrate(dsn, choice)
        pages = {"LATCHKEY_API_PORT": str(port), "LATCHKEY_WEB_DIR": str(ensure_page())}
        environment = stack.environment(dsn=dsn) | pages | stack.exporting()
        gateway = ChildProcess(["gateway"], environment, stack.root)
        api = ChildProcess(["api"], environment, stack.root)
        try:
            for process in (gateway, api):
                process.start()
            with running.announced(UP_FOLDER, environment | _for_other_verbs(stack, gateway, api)):
                token = stack.token("operator_admin")
                print(addresses(stack, api.http_port, gateway.http_port, token), flush=True)
                _watch(gateway, api)
        except KeyboardInterrupt:
            print("latchkey: stopping", file=sys.stderr)
        finally:
            # Ctrl-C a second time must not leave half of it running.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            api.close()
            gateway.close()


def _refuse_taken(port: int) -> None:
    """Before anything is started. Raises typer.BadParameter."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError as error:
            raise typer.BadParameter(
                f"port {port} cannot be had ({error.strerror}); choose another: ./latchkey up --port 8081"
            ) from None


def addresses(stack: Stack, api_port: int, gateway_port: int, token: str) -> str:
    """What a person wants to open, in lines."""
    return "\n".join(
        (
            f"page        http://127.0.0.1:{api_port}/#token={token}",
            f"API         http://127.0.0.1:{api_port}/docs",
            f"gateway     http://127.0.0.1:{gateway_port}/readyz, /metrics",
            f"WebSocket   ws://127.0.0.1:{api_port}/v1/live",
            f"devices     mqtt://127.0.0.1:{stack.broker.device_port} (user name = device id)",
            f"data, logs  {stack.root}",
            "Ctrl-C stops everything; the data stays.",
        )
    )


def _migrate(dsn: str, choice: TimescaleChoice) -> None:
    """With what the person asked for: a database that was made plain stays so, whatever was installed since.
    Raises StackError."""
    from gateway.stores.migrate import MigrationRefused, migrate

    try:
        print(migrate(dsn, choice).line)
    except MigrationRefused as refused:
        raise StackError(str(refused)) from refused


def _for_other_verbs(stack: Stack, gateway: ChildProcess, api: ChildProcess) -> dict[str, str]:
    return {
        running.DEVICE_PORT: str(stack.broker.device_port),
        running.GATEWAY_ADDRESS: f"http://127.0.0.1:{gateway.http_port}",
        running.API_URL: f"http://127.0.0.1:{api.http_port}",
    }


def _watch(*processes: ChildProcess) -> None:
    """Returns never; raises ServerDied when one of them ends by itself."""
    while True:
        for process in processes:
            if not process.running:
                raise ServerDied(process.name, None, process.log_tail())
        time.sleep(WATCH_PERIOD_S)
