"""A person opens a bike on the page, on the real line: the wish, the story with its milliseconds, the end; refusals."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from cli.page import ensure_page
from cli.stack import Stack
from firmware_protocol.messages import DeviceId
from tests.support.browser import missing_browser, opened, started_browser
from tests.support.unlock_rig import BIKES, CABINET, PLACE, UnlockRig, unlock_rig
from tests.support.waiting import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.page,
    pytest.mark.skipif(bool(missing_browser()), reason=missing_browser()),
]

DONE = "Done, and its sensors confirm it."
AT = f"16/{PLACE.lat_e7 / 1e7}/{PLACE.lon_e7 / 1e7}"


@pytest.fixture(scope="module")
def rig(stack: Stack, shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnlockRig]:
    """One for all tests of this file: each has devices that no other orders anything of."""
    folder = tmp_path_factory.mktemp("rig")
    with unlock_rig(stack, shared_database, folder, LATCHKEY_WEB_DIR=str(ensure_page())) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started_browser() as started:
        yield started


@pytest.fixture
def page(browser: Browser, rig: UnlockRig, stack: Stack) -> Iterator[Page]:
    """The page of a member of staff, with the whole fleet on it."""
    with opened(browser, f"{rig.url}/#{AT}&token={stack.token('staff')}", motion="reduce") as shown:
        shown.wait_for_function("Boolean(window.latchkey) && latchkey.settled() && latchkey.devices() === 4")
        yield shown


def open_card(page: Page, rig: UnlockRig, device_id: DeviceId) -> None:
    """Clicks on a device where it is drawn."""
    public_id = rig.get(f"/v1/devices/{device_id}").json()["public_id"]
    page.wait_for_function("id => latchkey.drawn(id) !== null", arg=public_id)
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


def test_a_slot_is_picked_and_a_device_without_a_key_takes_no_order(page: Page, rig: UnlockRig) -> None:
    open_card(page, rig, CABINET)
    card = page.locator("#card")
    card.locator(".slot button").nth(1).click()
    card.get_by_role("button", name="Eject from slot 2").click()
    expect(card.locator(".orders .bad")).to_contain_text("the device has no key")


def test_without_a_token_the_page_asks_for_one_and_then_keeps_to_its_policy(
    browser: Browser, rig: UnlockRig, stack: Stack
) -> None:
    complaints: list[str] = []
    with opened(browser, f"{rig.url}/#{AT}", motion="reduce", strict=True) as page:
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        field = page.locator("input[type=password]")
        expect(field).to_be_visible()
        field.fill(stack.token("staff"))
        field.press("Enter")
        expect(page.locator("#total")).to_have_text("4")
        page.locator("#near button").first.click()
        expect(page.locator("#card .history .plot").first).to_be_visible()
    # What the page's own policy forbids, it does not try.
    assert not [text for text in complaints if "Content Security Policy" in text]
