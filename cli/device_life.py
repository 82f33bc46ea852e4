"""The verbs that change one device: its steps through life, its password, its key."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from cli import running
from cli.device_actions import Refused, console, key_line, wrapping_of
from gateway.core.device_life import LifeStep, StepRefused
from gateway.key_wrapping import CannotUnwrap
from gateway.ports import StoreUnavailable
from gateway.stores.device_identity import (
    KEY_OVERLAP_S,
    PostgresDeviceIdentity,
    RetiredDevice,
    UnknownDevice,
)
from gateway.stores.postgres_link import PostgresLink

MAX_OVERLAP_S = 30 * 24 * 3600
"""A key that is followed by another and still good after a month is a second key, not a rotation."""

Answer = TypeVar("Answer")

Id = Annotated[str, typer.Argument(help="The device id.")]
Why = Annotated[str, typer.Option(help="For the audit log.")]

_REFUSALS = (Refused, UnknownDevice, RetiredDevice, StepRefused, CannotUnwrap, StoreUnavailable)


def register(devices: typer.Typer) -> None:
    """Adds them to the verb `device`."""
    for verb in (activate, suspend, resume, retire, password, key, rewrap):
        devices.command(verb.__name__)(verb)


def activate(device_id: Id, *, why: Why = "") -> None:
    """Puts a registered device into service.

    Example: ./latchkey device activate bike-0001
    """
    _step(device_id, LifeStep.ACTIVATE, why)


def suspend(device_id: Id, *, why: Why = "") -> None:
    """Refuses a device at the gateway at once and at the broker within five seconds, also where it is connected.

    Example: ./latchkey device suspend bike-0001 --why "stolen"
    """
    _step(device_id, LifeStep.SUSPEND, why)


def resume(device_id: Id, *, why: Why = "") -> None:
    """Lets a suspended device in again, with the password and key it had.

    Example: ./latchkey device resume bike-0001 --why "found"
    """
    _step(device_id, LifeStep.RESUME, why)


def retire(device_id: Id, *, why: Why = "") -> None:
    """Takes a device out of service for good: its keys end and its password is forgotten; its history stays.

    Example: ./latchkey device retire bike-0001 --why "scrapped"
    """
    _step(device_id, LifeStep.RETIRE, why)


def password(device_id: Id, *, why: Why = "") -> None:
    """Gives a device a new password for the broker and prints it this once; the old one ends within five seconds.

    Example: ./latchkey device password bike-0001
    """
    print(_ask(lambda identity: identity.change_password(device_id, console(why))))


def key(
    device_id: Id,
    *,
    overlap_s: Annotated[
        int, typer.Option(min=0, max=MAX_OVERLAP_S, help="How long the old key still verifies.")
    ] = KEY_OVERLAP_S,
    why: Why = "",
) -> None:
    """Gives a device a new key and prints it this once as NUMBER:HEX. It signs from now on; the old one verifies what
    the device says until the overlap ends.

    Example: ./latchkey device key bike-0001 --overlap-s 3600
    """
    made = _ask(lambda identity: identity.change_key(device_id, console(why), overlap_s=overlap_s))
    print(key_line(made))


def rewrap() -> None:
    """Seals every device key anew with the first of the key-encryption keys; safe to repeat and to interrupt.

    Example: LATCHKEY_KEY_ENCRYPTION_KEY=k2:…,k1:… ./latchkey device rewrap
    """

    async def all_of_them(identity: PostgresDeviceIdentity) -> int:
        done = 0
        while count := await identity.rewrap():
            done += count
        return done

    print(f"{_ask(all_of_them)} keys were sealed anew")


def _step(device_id: str, step: LifeStep, why: str) -> None:
    after = _ask(lambda identity: identity.step(device_id, step, console(why)))
    print(f"{device_id} is {after.name.lower()}")


def _ask(question: Callable[[PostgresDeviceIdentity], Awaitable[Answer]]) -> Answer:
    async def ask() -> Answer:
        link = PostgresLink(running.setting(running.POSTGRES_DSN), name="console")
        try:
            return await question(PostgresDeviceIdentity(link, wrapping_of(running.known_settings())))
        finally:
            await link.close()

    try:
        return asyncio.run(ask())
    except _REFUSALS as refused:
        print(f"latchkey: {refused}", file=sys.stderr)
        raise typer.Exit(1) from refused
