"""A browser that shows the page of a fake city, for the tests of this folder."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from cli.page import ensure_page
from tests.support.browser import COARSE, Motion, opened, started_browser, until_page
from tests.support.fake_city import CENTRE_LAT, CENTRE_LON, FakeCity
from tests.support.fake_city_server import Served, serving

WIDTH, HEIGHT = 1024, 640


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
    kept_tab.unroute_all()
    kept_tab.goto("about:blank")
    kept_tab.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def show(tab: Page, served: Served, place: str = "", *, motion: Motion = "reduce") -> None:
    """Opens the page of the city at `place` (its zoom and middle), or where it begins by itself."""
    tab.emulate_media(reduced_motion=motion)
    tab.goto(f"{served.url}#{place}token=any")


@pytest.fixture
def page(tab: Page, served: Served, request: pytest.FixtureRequest) -> Page:
    """The page by a link to the middle of the city, live and showing all five; still, unless a test asks for motion."""
    show(tab, served, f"15.5/{CENTRE_LAT}/{CENTRE_LON}&", motion=getattr(request, "param", "reduce"))
    until_page(tab, "latchkey.settled() && latchkey.devices() === 5 && latchkey.drawn('b0') !== null")
    return tab
