"""Orders from the card while the network is not what it should be: none is given twice, no story is lost."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browser import missing_browser, until_page
from tests.support.fake_city_server import Served
from tests.support.waiting import until

pytestmark = [
    pytest.mark.page,
    pytest.mark.skipif(bool(missing_browser()), reason=missing_browser()),
]

DONE = "Done, and its sensors confirm it."


class Desk:
    """Answers the page's orders as the gateway would, as far as its network lets it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.keys: list[str] = []
        self.looks = 0
        self.reached = True
        self.troubled = 0
        self.settled = False
        page.route("**/v1/devices/*/commands", self._place)
        page.route("**/v1/commands/*", self._look)
        page.route("**/v1/commands/*/timeline", lambda route: route.fulfill(json={"lines": []}))

    def _place(self, route: Route) -> None:
        self.keys.append(route.request.headers["idempotency-key"])
        if self.reached:
            route.fulfill(status=201, json=self._command())
        else:
            route.abort("connectionreset")

    def _look(self, route: Route) -> None:
        self.looks += 1
        if self.troubled > 0:
            self.troubled -= 1
            if self.troubled % 2:
                route.fulfill(status=503, json={"title": "Starting"})
            else:
                route.abort("connectionreset")
            return
        route.fulfill(json=self._command())

    def _command(self) -> dict[str, object]:
        phase = "confirmed" if self.settled else "sent"
        return {"id": "7", "kind": "unlock", "phase": phase, "settled": self.settled, "reason": ""}

    def until_looked(self, times: int) -> None:
        """Until the page has asked that often what became of an order."""
        # Only a call to the page lets its requests be answered.
        until(lambda: self.page.evaluate("1") and self.looks >= times)


@pytest.fixture
def desk(page: Page) -> Desk:
    """The card of a bike is open."""
    made = Desk(page)
    open_card(page, "b0")
    return made


def open_card(page: Page, id_: str) -> None:
    spot = page.evaluate("id => latchkey.drawn(id)", id_)
    page.mouse.click(spot["x"], spot["y"])
    expect(page.locator("#card .facts")).to_contain_text(id_)


def test_a_look_that_fails_does_not_end_the_story_of_an_order_that_runs(page: Page, desk: Desk) -> None:
    desk.troubled = 3
    page.get_by_role("button", name="Unlock").click()
    desk.until_looked(4)
    expect(page.locator("#card .orders .bad")).to_have_count(0)
    expect(page.get_by_role("button", name="Unlock")).to_have_attribute("aria-disabled", "true")
    desk.settled = True
    expect(page.locator("#card .timeline [role=status]")).to_have_text(DONE)
    expect(page.get_by_role("button", name="Unlock")).to_have_attribute("aria-disabled", "false")


def test_an_order_that_got_no_answer_is_repeated_as_the_same_order(page: Page, desk: Desk) -> None:
    unlock = page.get_by_role("button", name="Unlock")
    desk.settled = True
    desk.reached = False
    unlock.click()
    expect(page.locator("#card .orders .bad")).to_have_text("The server cannot be reached.")
    page.get_by_role("button", name="Make it ring").click()
    until(lambda: page.evaluate("1") and len(desk.keys) == 2)
    expect(unlock).to_have_attribute("aria-disabled", "false")
    desk.reached = True
    unlock.click()
    expect(page.locator("#card .timeline [role=status]")).to_have_text(DONE)
    unlock.click()
    until(lambda: page.evaluate("1") and len(desk.keys) == 4)
    first, ring, repeated, another = desk.keys
    assert repeated == first
    assert len({first, ring, another}) == 3


def test_a_card_that_is_closed_follows_nothing_and_opened_again_tells_on(
    page: Page, served: Served, desk: Desk
) -> None:
    page.get_by_role("button", name="Unlock").click()
    desk.until_looked(2)
    page.keyboard.press("Escape")
    expect(page.locator("#card")).to_be_hidden()
    before = desk.looks
    # The city's clock: while it tells the page of five changes one by one, a page that goes on would look many times.
    for battery_pct in range(5):
        served.city.devices["b1"].say(battery_pct=battery_pct)
        until_page(page, "latchkey.device('b1').battery_pct === argument", battery_pct)
    assert desk.looks <= before + 1

    open_card(page, "b0")
    expect(page.get_by_role("button", name="Unlock")).to_have_attribute("aria-disabled", "true")
    desk.settled = True
    expect(page.locator("#card .timeline [role=status]")).to_have_text(DONE)
    assert len(desk.keys) == 1
