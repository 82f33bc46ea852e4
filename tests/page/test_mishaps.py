"""The page when its browser or a person does what it did not wait for."""

import pytest
from playwright.sync_api import Page

from tests.support.browser import missing_browser
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
