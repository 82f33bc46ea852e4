"""The verb `device enrol-code`: codes with which devices register themselves."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

import typer

from cli import running
from cli.device_actions import Refused, console, wrapping_of
from gateway.ports import StoreUnavailable
from gateway.stores.enrolment import CODES_AT_MOST, PostgresEnrolment, UnknownModel
from gateway.stores.postgres_link import PostgresLink


def register(devices: typer.Typer) -> None:
    """Adds it to the verb `device`."""
    devices.command("enrol-code")(enrol_code)


def enrol_code(
    *,
    model: Annotated[str, typer.Option(help="Of the devices that will use the codes.")],
    count: Annotated[int, typer.Option(min=1, max=CODES_AT_MOST)] = 1,
    hours: Annotated[float, typer.Option(min=0.01, max=24 * 365, help="How long they are good.")] = 24.0,
    operator: Annotated[int, typer.Option(help="Whose the devices will be.")] = 1,
    why: Annotated[str, typer.Option(help="For the audit log.")] = "",
) -> None:
    """Prints codes, one per line, each good for one device: POST /v1/enrol {"code": …, "device_id": …} answers with
    the id, password, key and topics. Codes are shown this once.

    Example: ./latchkey device enrol-code --model city_bike --count 500 --hours 72 > codes.txt
    """

    async def ask() -> Sequence[str]:
        link = PostgresLink(running.setting(running.POSTGRES_DSN), name="console")
        try:
            enrolment = PostgresEnrolment(link, wrapping_of(running.known_settings()))
            lasts = timedelta(hours=hours)
            return await enrolment.make_codes(
                model, console(why), count=count, lasts=lasts, operator_id=operator
            )
        finally:
            await link.close()

    try:
        codes = asyncio.run(ask())
    except (Refused, UnknownModel, StoreUnavailable) as refused:
        print(f"latchkey: {refused}", file=sys.stderr)
        raise typer.Exit(1) from refused
    print("\n".join(codes))
