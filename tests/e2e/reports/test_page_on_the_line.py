"""The page in a real browser on the real line: reports over MQTT on its map, and orders, told to their end."""

from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import ConsoleMessage, Page, Request, expect

from cli.page import ensure_page
from cli.stack import Stack
from firmware_protocol.codec import Encoding, encode_report
from firmware_protocol.messages import Bolt, DeviceId, Fix, Lock, Report
from firmware_protocol.topics import report_topic
from tests.support.browser import COARSE, missing_browser, opened, started_browser, until_page
from tests.support.unlock_rig import BIKES, CABINET, PLACE, UnlockRig, unlock_rig
from tests.support.waiting import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.page,
    pytest.mark.skipif(bool(missing_browser()), reason=missing_browser()),
]

DONE = "Done, and its sensors confirm it."
ELSEWHERE = DeviceId("bike-1")
"""Too far away to be seen beside the others, and in the hands of its test."""
LAT_E7, LON_E7 = PLACE.lat_e7 + 1_000_000, PLACE.lon_e7
AT = f"16/{PLACE.lat_e7 / 1e7}/{PLACE.lon_e7 / 1e7}"


class Bike:
    """A basic device behind its own MQTT connection."""

    def __init__(self, stack: Stack) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=ELSEWHERE)
        self._client.username_pw_set(ELSEWHERE, "secret")
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
        self._client.publish(report_topic(ELSEWHERE), frame, qos=1).wait_for_publish(30)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(scope="module")
def rig(stack: Stack, shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnlockRig]:
    """One for all tests of this file: each has devices that no other orders anything of."""
    folder = tmp_path_factory.mktemp("rig")
    page = str(ensure_page())
    with unlock_rig(
        stack, shared_database, folder, strangers={ELSEWHERE: "secret"}, LATCHKEY_WEB_DIR=page
    ) as made:
        yield made


@pytest.fixture
def bike(stack: Stack) -> Iterator[Bike]:
    """Registered; not connected yet."""
    made = Bike(stack)
    yield made
    made.close()


@pytest.fixture(scope="module")
def kept_tab() -> Iterator[Page]:
    """One for all tests: it compiles no program that it has compiled before."""
    with (
        started_browser() as browser,
        opened(browser, "about:blank", motion="reduce", points_per_pixel=COARSE) as shown,
    ):
        yield shown


@pytest.fixture
def tab(kept_tab: Page) -> Iterator[Page]:
    """Shows nothing yet, and nobody has signed in."""
    yield kept_tab
    kept_tab.evaluate("sessionStorage.clear()")
    kept_tab.goto("about:blank")


@pytest.fixture
def page(tab: Page, rig: UnlockRig, stack: Stack) -> Page:
    """The page of a member of staff, with the whole fleet on it."""
    tab.goto(f"{rig.url}/#{AT}&token={stack.token('staff')}")
    until_page(tab, "latchkey.settled() && latchkey.devices() === 4")
    return tab


@contextmanager
def complaints_of(page: Page) -> Iterator[list[str]]:
    """What the browser says is wrong, meanwhile."""
    said: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            said.append(message.text)

    page.on("console", note)
    yield said
    page.remove_listener("console", note)


def open_card(page: Page, rig: UnlockRig, device_id: DeviceId) -> None:
    """Clicks on a device where it is drawn."""
    public_id = rig.get(f"/v1/devices/{device_id}").json()["public_id"]
    until_page(page, "latchkey.drawn(argument) !== null", public_id)
    spot = page.evaluate("id => latchkey.drawn(id)", public_id)
    page.mouse.click(spot["x"], spot["y"])
    expect(page.locator("#card .facts")).to_contain_text(device_id)


def test_an_unlock_is_told_to_its_end_with_the_milliseconds_of_each_step(page: Page, rig: UnlockRig) -> None:
    open_card(page, rig, BIKES[0])
    card = page.locator("#card")
    card.get_by_role("button", name="Unlock").click()
    expect(card.get_by_role("status")).to_have_text(DONE)
    expect(card.locator(".timeline .ms").first).to_have_text("0 ms")
    steps = card.locator(".timeline li")
    for words in (
        "Asked for",
        "Recorded as sent",
        "Sent to the device",
        "The device answers",
        "Its sensors say",
    ):
        expect(steps.filter(has_text=words).first).to_be_visible()
    assert [deed.kind.name for deed in rig.bikes[BIKES[0]].deeds] == ["UNLOCK"]

    # Its bolt is open now: the gateway refuses, in a sentence.
    until(lambda: rig.get(f"/v1/devices/{BIKES[0]}").json()["lock"]["bolt"] == "open")
    card.get_by_role("button", name="Unlock").click()
    expect(card.locator(".orders .bad")).to_have_text("Refused: the bolt is open.")
    assert len(rig.bikes[BIKES[0]].deeds) == 1

    open_card(page, rig, BIKES[1])
    expect(card.locator(".timeline")).to_have_count(0)
    # No sensor hears a bell.
    card.get_by_role("button", name="Make it ring").click()
    expect(card.get_by_role("status")).to_have_text("Done, the device says so.")


def test_a_slot_is_picked_and_a_device_without_a_key_takes_no_order(page: Page, rig: UnlockRig) -> None:
    open_card(page, rig, CABINET)
    card = page.locator("#card")
    card.locator(".slot button").nth(1).click()
    card.get_by_role("button", name="Eject from slot 2").click()
    expect(card.locator(".orders .bad")).to_contain_text("the device has no key")


def test_without_a_token_the_page_asks_for_one_and_then_keeps_to_its_policy(
    tab: Page, rig: UnlockRig, stack: Stack
) -> None:
    with complaints_of(tab) as complaints:
        tab.goto(f"{rig.url}/#{AT}")
        field = tab.locator("input[type=password]")
        expect(field).to_be_visible()
        expect(tab.locator("#connection")).to_have_text("Signed out")
        refusal = tab.get_by_role("dialog").get_by_role("alert")
        expect(refusal).to_have_count(0)

        field.fill("a.wrong.one")
        field.press("Enter")
        # Said, or the same empty question would look like a mistake of the page.
        expect(refusal).to_have_text("This token is not valid, or has ended.")
        expect(tab.locator("#connection")).to_have_text("Signed out")

        field.fill(stack.token("staff"))
        field.press("Enter")
        expect(tab.locator("#total")).to_have_text("4")
        tab.locator("#near button").first.click()
        expect(tab.locator("#card .history .plot").first).to_be_visible()
    # What the page's own policy forbids, it does not try.
    assert not [text for text in complaints if "Content Security Policy" in text]


def test_the_routes_are_tried_with_the_token_of_the_map_and_nobody_else_hears_of_it(
    page: Page, rig: UnlockRig
) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    with complaints_of(page) as complaints:
        page.get_by_role("link", name="API").click()
        fleet = page.locator(".opblock", has_text="/v1/fleet").first
        fleet.locator(".opblock-summary-control").click()
        fleet.get_by_role("button", name="Try it out").click()
        fleet.get_by_role("button", name="Execute").click()
        expect(fleet.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    page.remove_listener("request", note)
    assert f"{rig.url}/v1/fleet" in asked
    assert [url for url in asked if not url.startswith((rig.url, "data:", "blob:"))] == []
    assert complaints == []


def test_a_report_shows_a_bike_moves_it_and_takes_it_away(
    tab: Page, rig: UnlockRig, bike: Bike, stack: Stack
) -> None:
    tab.goto(f"{rig.url}/#15/{LAT_E7 / 1e7}/{LON_E7 / 1e7}&token={stack.token('operator_admin')}")
    assert "token" not in tab.url
    until_page(tab, "latchkey.settled() && latchkey.devices() === 0")
    tab.get_by_label("Unavailable devices").uncheck(force=True)
    bike.connect()

    bike.report()
    until_page(tab, "latchkey.devices() === 1 && latchkey.drawn(latchkey.all()[0].id) !== null")
    expect(tab.locator("#available")).to_have_text("1")

    bike.report(north_e7=8_000)
    until_page(
        tab,
        "Math.abs(latchkey.drawn(latchkey.all()[0].id).lat - argument) < 1e-7",
        (LAT_E7 + 8_000) / 1e7,
    )

    spot = tab.evaluate("latchkey.drawn(latchkey.all()[0].id)")
    tab.mouse.click(spot["x"], spot["y"])
    expect(tab.locator("#card .facts")).to_contain_text(ELSEWHERE)
    expect(tab.locator("#card .history .plot").first).to_be_visible()

    tab.get_by_label("Unavailable devices").check(force=True)
    before = tab.evaluate("latchkey.selected()")
    bike.report(north_e7=8_000, bolt=Bolt.OPEN)
    expect(tab.locator("#card .why")).to_contain_text("The lock is not closed")
    bike.report(north_e7=8_000)
    # Brought back it goes by another id, and its card with it.
    until_page(
        tab, "latchkey.selected() !== argument && latchkey.all()[0]?.id === latchkey.selected()", before
    )
    expect(tab.locator("#card .why")).to_contain_text("Available")
    expect(tab.locator("#card .facts")).to_contain_text(tab.evaluate("latchkey.selected()"))
    tab.keyboard.press("Escape")

    tab.get_by_label("Unavailable devices").uncheck(force=True)
    bike.report(north_e7=8_000, bolt=Bolt.OPEN)
    until_page(tab, "latchkey.settled() && latchkey.devices() === 0")
    expect(tab.locator("#total")).to_have_text("0")
    assert tab.evaluate("latchkey.drifts()") == 0
