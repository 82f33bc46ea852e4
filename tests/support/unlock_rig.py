"""A small fleet that obeys, on a real gateway and API: what a page, a client or a generator of requests meets."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType

import httpx
import psycopg

from cli.stack import Stack
from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import DeviceId, Fix, Report, Slot
from gateway.core.device import DeviceModel, Kind
from gateway.key_wrapping import KeyWrapping
from gateway.stores.device_identity import By, PostgresDeviceIdentity
from gateway.stores.postgres_link import PostgresLink
from gateway.stores.registration import NewDevice, bulk_register
from tests.support.gateway_rig import bridge
from tests.support.obedient_bike import ObedientBike
from tests.support.plain_http import NO_TLS
from tests.support.processes import ChildProcess, bearer, running
from tests.support.waiting import until, until_async

MODELS = (
    DeviceModel("obeying-bike", Kind.BIKE, heartbeat_s=300, quiet_after_s=600, lost_after_s=6_000),
    DeviceModel(
        "plain-cabinet", Kind.CABINET, heartbeat_s=300, quiet_after_s=600, lost_after_s=6_000, slot_count=4
    ),
)
PLACE = Fix(13_030_000, 1_038_510_000, accuracy_m=5.0)
BIKES = tuple(DeviceId(f"obeys-{number}") for number in range(3))
CABINET = DeviceId("cabinet-1")
"""Has no key: it is seen, and takes no orders."""


class UnlockRig:
    """The address of the API, its processes, and the bikes."""

    def __init__(
        self, api: ChildProcess, gateway: ChildProcess, bikes: Mapping[DeviceId, ObedientBike]
    ) -> None:
        self.api = api
        self.gateway = gateway
        self.bikes = bikes
        self.url = f"http://127.0.0.1:{api.http_port}"

    def get(self, path: str, role: str = "operator_admin") -> httpx.Response:
        return httpx.get(
            self.url + path, headers=bearer(self.api, role), trust_env=False, verify=NO_TLS, timeout=30
        )

    def is_online(self, device_id: DeviceId) -> bool:
        """Whether the API knows how it is."""
        return bool(self.get(f"/v1/devices/{device_id}").json().get("presence") == "online")


@contextmanager
def unlock_rig(
    stack: Stack,
    dsn: str,
    folder: Path,
    *,
    strangers: Mapping[DeviceId, str] = MappingProxyType({}),
    **settings: str,
) -> Iterator[UnlockRig]:
    """Returns when the API knows every device; `settings` are more variables of both processes. `strangers` are
    bikes, with their passwords, that are registered and not there: the test speaks for them."""
    environment = stack.environment(dsn=dsn) | settings
    with psycopg.connect(dsn) as connection:
        wanted = [NewDevice(one, MODELS[0].model) for one in (*BIKES, *strangers)]
        bulk_register(connection, MODELS, [*wanted, NewDevice(CABINET, MODELS[1].model)])
    stack.broker.set_devices({str(one): strangers.get(one, "secret") for one in (*BIKES, *strangers)})
    with ExitStack() as ending:
        # Not this thread's: a test with a browser has a loop running in it.
        loop = ending.enter_context(_loop_of_its_own())
        keys = asyncio.run_coroutine_threadsafe(
            _keys(dsn, KeyWrapping.from_environment(environment)), loop
        ).result(60)
        gateway = ending.enter_context(running("gateway", environment, folder / "gateway"))
        api = ending.enter_context(running("api", environment, folder / "api"))
        port = stack.broker.device_port
        bikes = {one: ObedientBike(port, one, "secret", keys[one], MODELS[0].model, fix=_beside(number))
                 for number, one in enumerate(BIKES)}  # fmt: skip
        ending.enter_context(_riding(bikes, loop))
        slots = tuple(Slot(number, unit_id=f"PB{number}", charge_pct=80) for number in range(1, 5))
        with bridge(stack) as speaker:
            speaker.report(CABINET, Report(seq=1, fix=_beside(3), slots=slots)).wait_for_publish(30)
        rig = UnlockRig(api, gateway, bikes)
        until(lambda: all(rig.is_online(one) for one in (*BIKES, CABINET)), what="the API knows them")
        yield rig


def _beside(number: int) -> Fix:
    return Fix(PLACE.lat_e7, PLACE.lon_e7 + number * 20_000, accuracy_m=5.0)


async def _keys(dsn: str, wrapping: KeyWrapping) -> dict[DeviceId, DeviceKey]:
    link = PostgresLink(dsn, name="identity")
    try:
        identity = PostgresDeviceIdentity(link, wrapping)
        return {one: await identity.change_key(one, By("staff:ada", "staff")) for one in BIKES}
    finally:
        await link.close()


@contextmanager
def _loop_of_its_own() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="bikes")
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


def _is_welcomed(bike: ObedientBike) -> bool:
    return bike.session.boot > 0


@contextmanager
def _riding(bikes: Mapping[DeviceId, ObedientBike], loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Each once welcomed and reported."""

    async def begun() -> list["asyncio.Task[None]"]:
        tasks = [asyncio.create_task(bike.run()) for bike in bikes.values()]
        for bike in bikes.values():
            await bike.online.wait()
            await until_async(partial(_is_welcomed, bike), what="welcomed")
            await bike.report()
        return tasks

    async def ended() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    tasks = asyncio.run_coroutine_threadsafe(begun(), loop).result(60)
    yield
    asyncio.run_coroutine_threadsafe(ended(), loop).result(30)
