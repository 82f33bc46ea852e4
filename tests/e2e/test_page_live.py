"""The page in a real browser on the real line: a report over MQTT shows a bike, moves it, and takes it away."""

from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser, Page, expect

from cli.page import ensure_page
from cli.stack import Stack
from firmware_protocol.codec import Encoding, encode_report
from firmware_protocol.messages import Bolt, DeviceId, Fix, Lock, Report
from firmware_protocol.topics import report_topic
from gateway.core.device import DeviceModel, Kind
from gateway.stores.registration import NewDevice, bulk_register
from tests.support.browser import missing_browser, opened, started_browser
from tests.support.processes import running
from tests.support.waiting import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.page,
    pytest.mark.skipif(bool(missing_browser()), reason=missing_browser()),
]

BIKE = DeviceId("bike-1")
MODEL = DeviceModel("page-bike", Kind.BIKE, heartbeat_s=30, quiet_after_s=75, lost_after_s=600)
LAT_E7, LON_E7 = 13_030_000, 1_038_510_000


class Bike:
    """A basic device behind its own MQTT connection."""

    def __init__(self, stack: Stack) -> None:
        stack.broker.set_devices({BIKE: "secret"})
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=BIKE)
        self._client.username_pw_set(BIKE, "secret")
        self._port = stack.broker.device_port

    def connect(self) -> None:
        """Returns when the broker lets it in."""
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        until(self._client.is_connected)

    def report(self, *, north_e7: int = 0, bolt: Bolt = Bolt.CLOSED) -> None:
        """One whole report, acknowledged by the broker."""
        fix = Fix(LAT_E7 + north_e7, LON_E7, accuracy_m=5.0)
        frame = encode_report(Report(fix=fix, lock=Lock(bolt), battery_pct=71), encoding=Encoding.JSON)
        self._client.publish(report_topic(BIKE), frame, qos=1).wait_for_publish(30)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def browser() -> Iterator[Browser]:
    """The page is built first."""
    ensure_page()
    with started_browser() as started:
        yield started


@pytest.fixture
def bike(stack: Stack) -> Iterator[Bike]:
    """Not connected yet: the gateway's sessions come first."""
    made = Bike(stack)
    yield made
    made.close()


@pytest.fixture
def address(stack: Stack, database: str, redis_url: str, tmp_path: Path) -> Iterator[str]:
    """The address of the page, with one registered bike that has said nothing yet."""
    with psycopg.connect(database) as connection:
        bulk_register(connection, [MODEL], [NewDevice(BIKE, MODEL.model)])
    environment = stack.environment(dsn=database, LATCHKEY_WEB_DIR=str(ensure_page()))
    with (
        running("gateway", environment, tmp_path / "gateway"),
        running("api", environment, tmp_path / "api") as api,
    ):
        yield f"http://127.0.0.1:{api.http_port}/"


def until_page(page: Page, condition: str) -> None:
    """Waits until the page says that `condition` holds."""
    page.wait_for_function(f"Boolean(window.latchkey) && ({condition})")


def test_a_report_shows_a_bike_moves_it_and_takes_it_away(
    browser: Browser, address: str, bike: Bike, stack: Stack
) -> None:
    place = f"15/{LAT_E7 / 1e7}/{LON_E7 / 1e7}"
    with opened(browser, f"{address}#{place}&token={stack.token('operator_admin')}") as page:
        assert "token" not in page.url
        until_page(page, "latchkey.settled() && latchkey.devices() === 0")
        page.get_by_label("Unavailable devices").uncheck(force=True)
        bike.connect()

        bike.report()
        until_page(page, "latchkey.devices() === 1 && latchkey.drawn(latchkey.all()[0].id) !== null")
        expect(page.locator("#available")).to_have_text("1")

        bike.report(north_e7=20_000)
        until_page(
            page, f"Math.abs(latchkey.drawn(latchkey.all()[0].id).lat - {(LAT_E7 + 20_000) / 1e7}) < 1e-7"
        )

        spot = page.evaluate("latchkey.drawn(latchkey.all()[0].id)")
        page.mouse.click(spot["x"], spot["y"])
        expect(page.locator("#card .facts")).to_contain_text(BIKE)
        expect(page.locator("#card .history .plot").first).to_be_visible()
        page.keyboard.press("Escape")

        bike.report(north_e7=20_000, bolt=Bolt.OPEN)
        until_page(page, "latchkey.settled() && latchkey.devices() === 0")
        expect(page.locator("#total")).to_have_text("0")
        assert page.evaluate("latchkey.drifts()") == 0
