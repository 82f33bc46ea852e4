"""The page in a real browser against a fake city: what it shows, and what it says when things go wrong."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.conftest import HEIGHT, WIDTH, show
from tests.support.browser import missing_browser, opened, until_page
from tests.support.fake_city import CENTRE_LAT, CENTRE_LON, reasons
from tests.support.fake_city_server import Served

pytestmark = [
    pytest.mark.page,
    pytest.mark.skipif(bool(missing_browser()), reason=missing_browser()),
]

WITHOUT_WEBGL = """
const getContext = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
  return kind.startsWith("webgl") ? null : getContext.call(this, kind, ...more);
};"""


def test_it_starts_where_the_fleet_is_and_counts_it(tab: Page, served: Served) -> None:
    show(tab, served, motion="no-preference")
    until_page(tab, "latchkey.settled() && latchkey.devices() === 5 && latchkey.drawn('b1') !== null")
    expect(tab.locator("#total")).to_have_text("5")
    expect(tab.locator("#available")).to_have_text("5")
    expect(tab.locator("#connection")).to_have_text("Live")
    spot = tab.evaluate("latchkey.drawn('b1')")
    assert 300 < spot["x"] < WIDTH
    assert 0 < spot["y"] < HEIGHT


@pytest.mark.parametrize("page", ["no-preference"], indirect=True)
def test_changes_move_show_and_take_away(page: Page, served: Served) -> None:
    city = served.city
    city.devices["b0"].say(lat=CENTRE_LAT + 0.0005)
    until_page(page, "Math.abs(latchkey.drawn('b0').lat - argument) < 1e-7", CENTRE_LAT + 0.0005)
    city.devices["b1"].say(available=False, units=0, reasons=reasons(1, "low_battery"))
    expect(page.locator("#available")).to_have_text("4")
    del city.devices["b2"]
    until_page(page, "latchkey.devices() === 4 && latchkey.drawn('b2') === null")
    assert page.evaluate("latchkey.drifts()") == 0


def test_filters_ask_the_server(page: Page, served: Served) -> None:
    served.city.devices["b1"].say(available=False, units=0, reasons=reasons(1, "fault"))
    page.get_by_label("Unavailable devices").uncheck(force=True)
    until_page(page, "latchkey.settled() && latchkey.devices() === 4 && latchkey.device('b1') === null")
    page.locator("#kind-bike").uncheck(force=True)
    until_page(page, "latchkey.settled() && latchkey.all().every(device => device.kind !== 'bike')")
    expect(page.locator("#total")).to_have_text("2")


def test_a_click_opens_the_card_with_slots_reasons_and_history(page: Page, served: Served) -> None:
    spot = page.evaluate("latchkey.drawn('c1')")
    page.mouse.click(spot["x"], spot["y"])
    card = page.locator("#card")
    expect(card.locator(".slot")).to_have_count(3)
    expect(card.locator(".slot.fault")).to_have_text("2")
    expect(card.locator(".history .plot")).to_be_visible()
    served.city.devices["c1"].say(available=False, units=0, spaces=3, reasons=reasons(1, "no_units"))
    expect(card).to_contain_text("Nothing left to take")
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()


def test_every_device_near_the_centre_is_within_reach_of_the_keyboard(page: Page) -> None:
    page.locator("#near button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#card h2")).to_be_visible()
    assert page.evaluate("latchkey.selected()") is not None


def test_a_lost_connection_comes_back_and_what_changed_meanwhile_is_there(page: Page, served: Served) -> None:
    served.city.devices["b0"].say(battery_pct=33)
    served.drop_connections()
    del served.city.devices["b2"]
    served.city.put("b9", "bike", CENTRE_LAT, CENTRE_LON + 0.001)
    until_page(
        page, "latchkey.connection() === 'live' && latchkey.settled() && latchkey.device('b9') !== null"
    )
    assert page.evaluate("latchkey.device('b2')") is None
    assert page.evaluate("latchkey.device('b0').battery_pct") == 33


def test_a_server_that_is_gone_is_said(page: Page, served: Served) -> None:
    served.close()
    expect(page.locator("#connection")).to_contain_text("Reconnecting")
    until_page(page, "latchkey.connection() === 'reconnecting' && latchkey.devices() === 5")


def test_a_view_that_is_refused_is_a_sentence_with_a_way_out(page: Page, served: Served) -> None:
    served.city.refuse_below_zoom = 15.0
    page.get_by_role("button", name="Zoom out").click()
    expect(page.locator("#notice")).to_contain_text("too many devices in this view")
    until_page(page, "latchkey.devices() === 0")
    page.locator("#notice").get_by_role("button", name="Zoom in").click()
    until_page(page, "latchkey.settled() && latchkey.connection() === 'live' && latchkey.devices() > 0")
    expect(page.locator("#notice")).to_be_hidden()


def test_without_webgl_the_devices_are_listed(browser: Browser, served: Served) -> None:
    with opened(browser, f"{served.url}#token=any", script=WITHOUT_WEBGL) as page:
        expect(page.locator("#notice")).to_contain_text("WebGL is not available")
        expect(page.locator("#near li")).to_have_count(5)


def test_a_phone_shows_the_map_first(tab: Page, served: Served) -> None:
    tab.set_viewport_size({"width": 390, "height": 780})
    show(tab, served)
    until_page(tab, "latchkey.settled() && latchkey.devices() === 5")
    expect(tab.locator("#panel-body")).to_be_hidden()
    tab.locator("#fold").click()
    expect(tab.locator("#kinds")).to_be_visible()
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
