"""Debian's Chromium for tests: where it is and how it starts without a graphics card, as root too."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.waiting import until

COARSE = 0.5
"""Points per pixel, where nobody looks at the picture: software draws every one of them."""

Motion = Literal["no-preference", "reduce"]
"""What the person has set: whether devices glide, or jump."""

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    # The map alone is WebGL: laying the page over it with a graphics card made of software doubles its cost.
    "--disable-gpu-compositing",
    "--disable-quic",
    # A process kept ready for a page that never comes.
    "--disable-features=SpareRendererForSitePerProcess,PreloadTopChromeWebUI",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Software WebGL, and no conversation with anyone but the page's own server."""

DEADLINE_MS = 60_000
"""Generous: reached only when something is broken, on a busy machine too."""
expect.set_options(timeout=DEADLINE_MS)


def missing_browser() -> str:
    """Why no page can be opened here, or an empty text."""
    return "" if shutil.which(CHROMIUM) else "Chromium is not installed (Debian package chromium)"


@contextmanager
def started_browser() -> Iterator[Browser]:
    """A browser with an empty profile of its own, for several pages."""
    with sync_playwright() as playwright:
        # `headless` is said by a flag: Playwright's own switch is for its own build of Chromium.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=False)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser,
    url: str,
    *,
    width: int = 1280,
    height: int = 800,
    script: str = "",
    motion: Motion = "no-preference",
    points_per_pixel: float = 1,
) -> Iterator[Page]:
    """A page with nothing remembered from others; `script` runs in it before the page's own. Motion that software
    has to draw takes a whole core: a test that is not about it asks for a person's setting to reduce it. And where
    nobody looks at the picture, a coarser screen (`points_per_pixel`: COARSE) has the same layout for less."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=points_per_pixel,
        reduced_motion=motion,
    )
    try:
        context.set_default_timeout(DEADLINE_MS)
        page = context.new_page()
        if script:
            page.add_init_script(script)
        page.goto(url)
        yield page
    finally:
        context.close()


def until_page(page: Page, condition: str, argument: object = None) -> None:
    """Waits until the page says that `condition`, which may name `argument`, holds. It is asked from outside: the
    page's own policy lets nobody in it evaluate text."""
    asked = f"argument => Boolean(window.latchkey) && ({condition})"
    until(lambda: bool(page.evaluate(asked, argument)), deadline_s=DEADLINE_MS / 1000, what=condition)
