"""One person who presses unlock a hundred times a second, beside one who does it once in a while."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from bench.unlock_client import Answer, RiderConnection, ride
from firmware_protocol.messages import DeviceId

SPRAYS_PER_S = 100
"""A hundred times what a person may do on average, who has 60 in a minute."""

SPRAYERS = 8

REFUSED_WITHIN_S = 30.0
"""Sixty presses take less than a second."""


class Spray(Struct, frozen=True):
    """Who presses, and what: a device that would take no order, so that only the pressing costs."""

    token: str
    device_id: DeviceId


class Sprayed(Struct, frozen=True):
    """What the others saw meanwhile, and what the presser was answered."""

    answers: list[Answer]
    statuses: Counter[int]
    took_s: float


async def ride_beside(
    port: int, token: str, devices: Sequence[DeviceId], spray: Spray, *, wait_s: float
) -> Sprayed:
    """One rider after the other, while the presser presses; the first seconds, in which presses still count, are
    over when the first is refused. Raises TimeoutError when none is."""
    loop = asyncio.get_running_loop()
    statuses: Counter[int] = Counter()
    refused, began_s = asyncio.Event(), loop.time()

    async def press() -> None:
        _, connection = await loop.create_connection(lambda: RiderConnection(spray.token), "127.0.0.1", port)
        due_s = loop.time()
        try:
            while True:
                status = (await connection.unlock(spray.device_id, wait_s=0)).status
                statuses[status] += 1
                if status == 429:
                    refused.set()
                due_s += SPRAYERS / SPRAYS_PER_S
                await asyncio.sleep(due_s - loop.time())
        finally:
            connection.transport.close()

    pressers = [asyncio.create_task(press()) for _ in range(SPRAYERS)]
    try:
        async with asyncio.timeout(REFUSED_WITHIN_S):
            await refused.wait()
        answers = await ride(port, token, devices, riders=1, wait_s=wait_s)
    finally:
        for presser in pressers:
            presser.cancel()
        await asyncio.wait(pressers)
    return Sprayed(answers, statuses, loop.time() - began_s)
