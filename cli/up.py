"""The verb `up`: servers, gateway and API on this machine, kept between runs, until Ctrl-C."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from cli.child_process import ChildProcess
from cli.page import ensure_page
from cli.servers.errors import ServerDied
from cli.settings import timescale_choice
from cli.stack import STATE_FOLDER, Stack

UP_FOLDER = STATE_FOLDER / "up"
DATABASE = "latchkey"
RUNNING_NAME = "running.json"
WATCH_PERIOD_S = 0.5


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("up")(up)


def up(
    *,
    port: Annotated[int, typer.Option(help="Port of page and API on the loopback address.")] = 8080,
    data: Annotated[Path, typer.Option(help="Where the servers keep their data.")] = UP_FOLDER,
    timescale: Annotated[str, typer.Option(help="auto, off or require.")] = "auto",
) -> None:
    """Starts broker, Redis, PostgreSQL, gateway and API in the foreground and prints their addresses.

    Data stays in .latchkey/up and is there again at the next start. In a second terminal register a device:

      ./latchkey device register bike-0001 --model city_bike
    """
    with Stack.started(data, timescale=timescale_choice(timescale)) as stack:
        dsn = stack.postgres.ensure_database(DATABASE)
        _migrate(dsn, stack)
        environment = stack.environment(
            dsn=dsn, LATCHKEY_API_PORT=str(port), LATCHKEY_WEB_DIR=str(ensure_page())
        )
        gateway = ChildProcess(["gateway"], environment, stack.root)
        api = ChildProcess(["api"], environment, stack.root)
        try:
            for process in (gateway, api):
                process.start()
            _tell_other_verbs(
                stack, environment | {"LATCHKEY_GATEWAY_ADDRESS": f"http://127.0.0.1:{gateway.http_port}"}
            )
            print(addresses(stack, api.http_port), flush=True)
            _watch(gateway, api)
        except KeyboardInterrupt:
            print("latchkey: stopping", file=sys.stderr)
        finally:
            # Ctrl-C a second time must not leave half of it running.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            (stack.root / RUNNING_NAME).unlink(missing_ok=True)
            api.close()
            gateway.close()


def addresses(stack: Stack, api_port: int) -> str:
    """What a person wants to open, in lines."""
    return "\n".join(
        (
            f"page        http://127.0.0.1:{api_port}/",
            f"API         http://127.0.0.1:{api_port}/docs",
            f"WebSocket   ws://127.0.0.1:{api_port}/v1/live",
            f"devices     mqtt://127.0.0.1:{stack.broker.device_port} (user name = device id)",
            f"data, logs  {stack.root}",
            "Ctrl-C stops everything; the data stays.",
        )
    )


def running_environment(folder: Path = UP_FOLDER) -> dict[str, str]:
    """The settings of an `up` that runs from this checkout; empty when none does."""
    try:
        said = json.loads((folder / RUNNING_NAME).read_text())
    except (FileNotFoundError, PermissionError, json.JSONDecodeError):
        return {}
    return {str(name): str(value) for name, value in said.items()}


def _migrate(dsn: str, stack: Stack) -> None:
    from gateway.stores.migrate import migrate

    print(migrate(dsn, "require" if stack.postgres.timescale else "auto").line)


def _tell_other_verbs(stack: Stack, environment: dict[str, str]) -> None:
    """Written for `device` and `doctor` in another terminal; readable for this user alone."""
    path = stack.root / RUNNING_NAME
    known = {name: value for name, value in environment.items() if name.startswith("LATCHKEY_")}
    known["LATCHKEY_BROKER_PASSWORDS"] = str(stack.broker.devices_path)
    known["LATCHKEY_BROKER_PID"] = str(stack.broker.pid)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(known, file)


def _watch(*processes: ChildProcess) -> None:
    """Returns never; raises ServerDied when one of them ends by itself."""
    while True:
        for process in processes:
            if not process.running:
                raise ServerDied(process.name, None, process.log_tail())
        time.sleep(WATCH_PERIOD_S)
