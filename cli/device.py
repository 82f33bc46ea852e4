"""The verb `device`: register, list and show devices, let one number anew, look into the quarantine."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Annotated, NoReturn, TypeVar

import typer

from cli import (
    device_actions,
    device_ca,
    device_enrol,
    device_import,
    device_incidents,
    device_life,
    device_order,
    running,
)
from cli.device_actions import ModelWish, Refused
from gateway.ports import StoreUnavailable

Answer = TypeVar("Answer")

Id = Annotated[str, typer.Argument(help="The device id (or a public id, where a device is only looked up).")]
KINDS = ("bike", "cabinet", "locker")


def register(app: typer.Typer) -> None:
    """Adds the verb with its own verbs."""
    devices = typer.Typer(
        no_args_is_help=True,
        help="Registers devices and leads them through their life: passwords, keys, codes, certificates, quarantine.",
    )
    devices.command("register")(register_device)
    devices.command("list")(list_devices)
    devices.command("show")(show)
    devices.command("rebase")(rebase)
    device_life.register(devices)
    device_order.register(devices)
    device_incidents.register(devices)
    device_enrol.register(devices)
    device_import.register(devices)
    device_ca.register(devices)
    quarantine = typer.Typer(no_args_is_help=True, help="Frames that could not be taken, kept for a person.")
    quarantine.command("list")(list_quarantine)
    quarantine.command("replay")(replay)
    devices.add_typer(quarantine, name="quarantine")
    app.add_typer(devices, name="device")


def register_device(
    device_id: Id,
    *,
    model: Annotated[str, typer.Option(help="A model; made when --kind is given too.")],
    kind: Annotated[
        str,
        typer.Option(
            help="bike, cabinet or locker: makes the model, or brings its heartbeat and slots up to date."
        ),
    ] = "",
    heartbeat_s: Annotated[int, typer.Option(min=1, help="With --kind: seconds between two reports.")] = 60,
    slots: Annotated[int, typer.Option(min=0, help="With --kind: slots of a cabinet or locker.")] = 0,
    password: Annotated[str, typer.Option(help="For the broker; a random one unless given.")] = "",
    operator: Annotated[int, typer.Option(help="Whose it is.")] = 1,
    key: Annotated[bool, typer.Option(help="Whether the hardware verifies commands.")] = True,
) -> None:
    """Registers a device; prints its topic prefix, password, key, and a line that sends a first report.

    Example: ./latchkey device register bike-0001 --model city_bike --kind bike --heartbeat-s 60
    """
    if kind and kind not in KINDS:
        raise typer.BadParameter(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
    settings = running.known_settings()
    wish = ModelWish(model, kind, heartbeat_s, slots)
    try:
        made = device_actions.register(
            running.setting(running.POSTGRES_DSN),
            device_id,
            wish,
            device_actions.wrapping_of(settings),
            password=password,
            operator_id=operator,
            with_key=key,
        )
    except Refused as refused:
        _fail(refused)
    print("\n".join(device_actions.first_steps(settings, device_id, made)))
    if made is None:
        print("it was registered before", file=sys.stderr)


def list_devices(
    *,
    after: Annotated[str, typer.Option(help="Go on after this device id.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
) -> None:
    """Lists devices in the order of their ids.

    Example: ./latchkey device list --after bike-0100 --limit 20
    """
    for line in _answer(device_actions.list_lines(running.setting(running.POSTGRES_DSN), after, limit)):
        print(line)


def show(device_id: Id) -> None:
    """Shows what the registry knows of a device.

    Example: ./latchkey device show bike-0001
    """
    print("\n".join(_answer(device_actions.show_lines(running.setting(running.POSTGRES_DSN), device_id))))


def rebase(device_id: Id) -> None:
    """Forgets a device's last stamp, when its own numbering went back: its next report counts as the newest.

    Example: ./latchkey device rebase bike-0001
    """
    dsn, redis_url = running.setting(running.POSTGRES_DSN), running.setting(running.REDIS_URL)
    _answer(device_actions.rebase(dsn, redis_url, device_id))
    print(f"{device_id}: the next report counts as the newest")


def list_quarantine(
    *,
    reason: Annotated[str, typer.Option(help="Only frames kept for this reason.")] = "",
    before: Annotated[int, typer.Option(help="Older than this number.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
) -> None:
    """Lists frames newest first: number, time, device, reason, where in the frame, its first bytes.

    Example: ./latchkey device quarantine list --reason malformed
    """
    dsn = running.setting(running.POSTGRES_DSN)
    for line in _answer(device_actions.quarantine_lines(dsn, reason or None, before or None, limit)):
        print(line)


def replay(
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers from the list.")] = None,
    *,
    reason: Annotated[str, typer.Option(help="Everything that waits for this reason.")] = "",
) -> None:
    """Marks frames; the gateway takes them in again within seconds, as if they had just arrived.

    ./latchkey device quarantine replay 17 18

    ./latchkey device quarantine replay --reason unknown_device
    """
    if bool(numbers) == bool(reason):
        raise typer.BadParameter("give numbers or --reason")
    dsn = running.setting(running.POSTGRES_DSN)
    marked = _answer(device_actions.mark_for_replay(dsn, numbers or [], reason))
    print(f"{marked} frames are marked for replay")


def _answer(question: Coroutine[None, None, Answer]) -> Answer:
    try:
        return asyncio.run(question)
    except (Refused, StoreUnavailable) as refused:
        _fail(refused)


def _fail(refused: Exception) -> NoReturn:
    print(f"latchkey: {refused}", file=sys.stderr)
    raise typer.Exit(1) from refused
