"""Debian's Chromium for tests: where it is and how it starts without a graphics card, as root too."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Software WebGL, and no conversation with anyone but the page's own server."""

DEADLINE_MS = 60_000
"""Generous: reached only when something is broken, on a busy machine too."""


def missing_browser() -> str:
    """Why no page can be opened here, or an empty text."""
    return "" if shutil.which(CHROMIUM) else "Chromium is not installed (Debian package chromium)"


@contextmanager
def opened(url: str, *, width: int = 1280, height: int = 800, script: str = "") -> Iterator[Page]:
    """A page in a browser of its own with an empty profile; `script` runs in it before the page's own."""
    profile = tempfile.mkdtemp(prefix="latchkey-browser-")
    try:
        with sync_playwright() as playwright:
            # `headless` is said by a flag: Playwright's own flag is for its own build of Chromium.
            context = playwright.chromium.launch_persistent_context(
                profile,
                executable_path=CHROMIUM,
                args=FLAGS,
                headless=False,
                viewport={"width": width, "height": height},
            )
            context.set_default_timeout(DEADLINE_MS)
            page = context.pages[0]
            if script:
                page.add_init_script(script)
            page.goto(url)
            try:
                yield page
            finally:
                context.close()
    finally:
        shutil.rmtree(profile, ignore_errors=True)
