"""Takes a picture of the live map: `python -m tests.support.screenshot URL FILE`."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from playwright.sync_api import Page

from tests.support.browser import opened, started_browser

SETTLE_MS = 1500
READY = "latchkey.settled() && latchkey.connection() === 'live' && latchkey.devices() > 0"
NEAREST = """kind => latchkey.all().filter(device => device.kind === kind).map(device => latchkey.drawn(device.id))
    .filter(spot => spot !== null)
    .sort((one, other) => Math.hypot(one.x - innerWidth / 2, one.y - innerHeight / 2)
        - Math.hypot(other.x - innerWidth / 2, other.y - innerHeight / 2))[0] ?? null"""
"""Where the device of a kind is drawn that is nearest to the middle of the page."""


def main(
    url: Annotated[str, typer.Argument(help="Address of the page.")],
    target: Annotated[Path, typer.Argument(help="A .png or .jpg file to write.")],
    theme: str = "dark",
    size: str = "1440x900",
    at: Annotated[
        str, typer.Option(help="Where to look: ZOOM/LAT/LON; default: where the page starts.")
    ] = "",
    select: Annotated[str, typer.Option(help="Kind of the device whose card is opened, or empty.")] = "",
    trails_s: Annotated[float, typer.Option(help="How long bikes draw their trails first.")] = 40.0,
) -> None:
    """Opens the page, lets it live for a while, and takes the picture."""
    width, height = (int(side) for side in size.split("x"))
    address = f"{url}?theme={theme}" + (f"#{at}" if at else "")
    with started_browser() as browser, opened(browser, address, width=width, height=height) as page:
        page.wait_for_function(READY)
        page.wait_for_timeout(trails_s * 1000)
        if select:
            open_card(page, select)
            page.wait_for_selector("#card .history :is(.plot, .quiet)")
            page.wait_for_timeout(SETTLE_MS)
        kind: Literal["jpeg", "png"] = "jpeg" if target.suffix in {".jpg", ".jpeg"} else "png"
        page.screenshot(path=target, type=kind)


def open_card(page: Page, kind: str) -> None:
    """Clicks on the device of this kind that is drawn nearest to the middle of the page."""
    spot = page.evaluate(NEAREST, kind)
    if spot is not None:
        page.mouse.click(spot["x"], spot["y"])
        page.mouse.move(0, 0)


if __name__ == "__main__":
    typer.run(main)
