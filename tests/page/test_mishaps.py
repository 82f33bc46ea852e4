"""The page when its browser or a person does what it did not wait for."""

import re

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.page.conftest import HEIGHT, WIDTH, show
from tests.support.browser import missing_browser, until_page
from tests.support.fake_city_server import Served
from tests.support.waiting import until

pytestmark = [
    pytest.mark.page,
    pytest.mark.skipif(bool(missing_browser()), reason=missing_browser()),
]

LOSE_CONTEXT = """() => {
  const lost = document.querySelector("#map canvas").getContext("webgl2").getExtension("WEBGL_lose_context");
  window.giveBack = () => lost.restoreContext();
  lost.loseContext();
}"""


def picture_around(page: Page, id_: str, beside_px: int = 0) -> bytes:
    """What the screen shows where a device is drawn, or that far beside it."""
    spot = page.evaluate("id => latchkey.drawn(id)", id_)
    x, y = spot["x"] - 12 - beside_px, spot["y"] - 12
    return page.screenshot(clip={"x": x, "y": y, "width": 24, "height": 24})


def test_a_lost_graphics_context_brings_the_devices_back_with_it(page: Page) -> None:
    until(lambda: picture_around(page, "b1") != picture_around(page, "b1", 60), what="the bike is drawn")
    seen = picture_around(page, "b1")
    page.evaluate(LOSE_CONTEXT)
    until(lambda: picture_around(page, "b1") != seen, what="the lost map is blank")
    page.evaluate("giveBack()")
    until(lambda: picture_around(page, "b1") == seen, what="the bike is drawn again")


@pytest.mark.parametrize("where", ["", "docs/"])
def test_a_link_with_a_token_opened_in_the_tab_that_shows_its_page_signs_in_anew(
    tab: Page, served: Served, where: str
) -> None:
    tab.goto(f"{served.url}{where}#token=any")
    assert tab.evaluate("sessionStorage.getItem('latchkey-token')") == "any"
    with tab.expect_event("load"):
        tab.goto(f"{served.url}{where}#token=another")
    assert tab.evaluate("sessionStorage.getItem('latchkey-token')") == "another"
    assert "token" not in tab.url
    with tab.expect_event("load"):
        # As a map does that is on its way while the link is opened.
        tab.evaluate("location.hash = 'token=third'; history.replaceState(null, '', '#13.5/31.2/121.4')")
    assert tab.evaluate("sessionStorage.getItem('latchkey-token')") == "third"
    assert "token" not in tab.url


def test_a_map_that_a_person_took_in_hand_is_not_moved_to_the_fleet(tab: Page, served: Served) -> None:
    held: list[Route] = []
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    def hold(route: Route) -> None:
        held.append(route)

    tab.route("**/v1/fleet", hold)
    tab.on("request", note)
    show(tab, served)
    until(lambda: asked_twice(tab, held))
    tab.get_by_role("button", name="Zoom in").click()
    until_page(tab, "latchkey.settled()")
    # The overview asked last; the figure on the panel is told after it has its answer.
    for route in reversed(held):
        with tab.expect_response("**/v1/fleet"):
            route.fulfill(json={"devices": 7000})
    expect(tab.locator("#fleet-size")).to_have_text(re.compile("7.000 devices"))
    tab.remove_listener("request", note)
    assert not [url for url in asked if "/v1/devices" in url]


def asked_twice(tab: Page, held: list[Route]) -> bool:
    """Whether both askers of the fleet's size wait. Only a call to the page lets its requests be heard of."""
    tab.evaluate("0")
    return len(held) == 2


def test_a_turned_wheel_takes_the_map_in_hand(tab: Page, served: Served) -> None:
    def hold(_: Route) -> None:
        """Never answers, so the page waits for the size of the fleet."""

    tab.route("**/v1/fleet", hold)
    show(tab, served)
    tab.mouse.move(WIDTH * 0.7, HEIGHT / 2)
    # The map may still be on its way when the first turn comes.
    until(lambda: turned(tab))


def turned(tab: Page) -> bool:
    """Whether the map is the person's after one more turn of the wheel."""
    tab.mouse.wheel(0, -100)
    return bool(tab.evaluate("latchkey.settled()"))


def test_a_whole_world_that_is_refused_leaves_the_map_to_the_person(tab: Page, served: Served) -> None:
    served.city.refuse_below_zoom = 3.0
    show(tab, served)
    tab.locator("#notice").get_by_role("button", name="Zoom in").click()
    until_page(tab, "latchkey.settled() && latchkey.connection() === 'live'")
    expect(tab.locator("#notice")).to_be_hidden()


def test_an_answer_that_was_overtaken_does_not_replace_a_newer_one(page: Page, served: Served) -> None:
    held: list[Route] = []
    bike = served.city.devices["b0"]

    def hold_first(route: Route) -> None:
        if held:
            route.fallback()
        else:
            held.append(route)

    page.route("**/v1/devices/b0", hold_first)
    spot = page.evaluate("latchkey.drawn('b0')")
    page.mouse.click(spot["x"], spot["y"])
    facts = page.locator("#card .facts")
    until(lambda: page.evaluate("1") and held)
    overtaken = page.request.get(f"{served.url}v1/devices/b0").json()
    bike.say(battery_pct=61)
    expect(facts).to_contain_text("61 %")
    page.evaluate("""() => {
      window.seen = [];
      new MutationObserver(() => seen.push(document.querySelector("#card .facts").textContent))
        .observe(document.querySelector("#card .facts"), { childList: true });
    }""")
    held[0].fulfill(json=overtaken)
    bike.say(battery_pct=62)
    expect(facts).to_contain_text("62 %")
    assert not [text for text in page.evaluate("seen") if "80 %" in text]
