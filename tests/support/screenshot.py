"""Takes a picture of the live map: `python -m tests.support.screenshot URL FILE`."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from playwright.sync_api import Page

from tests.support.browser import opened, started_browser, until_page

SETTLE_MS = 1500
READY = "latchkey.settled() && latchkey.connection() === 'live' && latchkey.devices() > 0"
NEAREST = """wanted => latchkey.all().filter(device => [device.kind, device.id].includes(wanted))
    .map(device => latchkey.drawn(device.id))
    .filter(spot => spot !== null)
    .sort((one, other) => Math.hypot(one.x - innerWidth / 2, one.y - innerHeight / 2)
        - Math.hypot(other.x - innerWidth / 2, other.y - innerHeight / 2))[0] ?? null"""
"""Where a device is drawn: that of a public id, or that of a kind which is nearest to the middle of the page."""


def main(
    url: Annotated[str, typer.Argument(help="Address of the page.")],
    target: Annotated[Path, typer.Argument(help="A .png or .jpg file to write.")],
    theme: str = "dark",
    size: str = "1440x900",
    at: Annotated[
        str, typer.Option(help="Where to look: ZOOM/LAT/LON; default: where the page starts.")
    ] = "",
    select: Annotated[
        str, typer.Option(help="Public id of the device whose card is opened, or a kind.")
    ] = "",
    token: Annotated[str, typer.Option(help="Of whoever looks: the end of the address a demo prints.")] = "",
    order: Annotated[bool, typer.Option(help="Also press the first thing the card offers to do.")] = False,
    trails_s: Annotated[float, typer.Option(help="How long bikes draw their trails first.")] = 40.0,
) -> None:
    """Opens the page, lets it live for a while, and takes the picture."""
    width, height = (int(side) for side in size.split("x"))
    fragment = "&".join(part for part in (at, f"token={token}" if token else "") if part)
    address = f"{url}?theme={theme}" + (f"#{fragment}" if fragment else "")
    with started_browser() as browser, opened(browser, address, width=width, height=height) as page:
        until_page(page, READY)
        page.wait_for_timeout(trails_s * 1000)
        if select:
            open_card(page, select)
            page.wait_for_selector("#card .history :is(.plot, .quiet)")
            if order:
                page.click("#card .wishes .main")
                page.wait_for_selector("#card .timeline:is([data-phase=confirmed], [data-phase=failed])")
            page.wait_for_timeout(SETTLE_MS)
        kind: Literal["jpeg", "png"] = "jpeg" if target.suffix in {".jpg", ".jpeg"} else "png"
        page.screenshot(path=target, type=kind)


def open_card(page: Page, wanted: str) -> None:
    """Clicks on the device with this public id, or of this kind."""
    spot = page.evaluate(NEAREST, wanted)
    if spot is not None:
        page.mouse.click(spot["x"], spot["y"])
        page.mouse.move(0, 0)


if __name__ == "__main__":
    typer.run(main)
