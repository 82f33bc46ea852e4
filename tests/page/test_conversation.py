"""The page in a real browser against a fake city: what it shows, and what it says when things go wrong."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from cli.page import ensure_page
from tests.support.browser import COARSE, Motion, missing_browser, opened, started_browser, until_page
from tests.support.fake_city import CENTRE_LAT, CENTRE_LON, FakeCity, reasons
from tests.support.fake_city_server import Served, serving

pytestmark = [
    pytest.mark.page,
    pytest.mark.skipif(bool(missing_browser()), reason=missing_browser()),
]

WIDTH, HEIGHT = 1024, 640
WITHOUT_WEBGL = """
const getContext = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
  return kind.startsWith("webgl") ? null : getContext.call(this, kind, ...more);
};"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all pages of this file; the page is built first."""
    ensure_page()
    with started_browser() as started:
        yield started


@pytest.fixture
def served() -> Iterator[Served]:
    """Three bikes, a cabinet and a locker in the middle of the city."""
    city = FakeCity()
    for number in range(3):
        city.put(f"b{number}", "bike", CENTRE_LAT + number * 0.001, CENTRE_LON)
    cabinet = city.put("c1", "cabinet", CENTRE_LAT, CENTRE_LON + 0.002, units=2, spaces=1, battery_pct=None)
    cabinet.slots = [
        {"number": 1, "unit_id": "PB1", "occupied": True, "charge_pct": 80, "faults": []},
        {"number": 2, "unit_id": "PB2", "occupied": True, "charge_pct": 20, "faults": ["motor_stall"]},
        {"number": 3, "unit_id": None, "occupied": False, "charge_pct": None, "faults": []},
    ]
    city.put("l1", "locker", CENTRE_LAT, CENTRE_LON - 0.002, units=6, spaces=4, battery_pct=None)
    with serving(city) as running:
        yield running


@pytest.fixture(scope="module")
def kept_tab(browser: Browser) -> Iterator[Page]:
    """One for all cities: each has an address of its own, of which a tab knows nothing yet, but it compiles no program
    that it has compiled before."""
    with opened(browser, "about:blank", width=WIDTH, height=HEIGHT, points_per_pixel=COARSE) as shown:
        yield shown


@pytest.fixture
def tab(kept_tab: Page) -> Iterator[Page]:
    """Shows nothing yet."""
    yield kept_tab
    kept_tab.goto("about:blank")
    kept_tab.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def show(tab: Page, served: Served, place: str = "", *, motion: Motion = "reduce") -> None:
    tab.emulate_media(reduced_motion=motion)
    tab.goto(f"{served.url}#{place}token=any")


@pytest.fixture
def page(tab: Page, served: Served, request: pytest.FixtureRequest) -> Page:
    """The page by a link to the middle of the city, live and showing all five; still, unless a test asks for motion."""
    show(tab, served, f"15.5/{CENTRE_LAT}/{CENTRE_LON}&", motion=getattr(request, "param", "reduce"))
    until_page(tab, "latchkey.settled() && latchkey.devices() === 5 && latchkey.drawn('b0') !== null")
    return tab


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
