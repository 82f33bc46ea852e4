"""Takes a picture of the live map: `python -m tests.support.screenshot URL FILE`."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer
from playwright.sync_api import sync_playwright

from tests.support.browser import CHROMIUM, FLAGS

MAX_WAIT_MS = 60_000


def main(
    url: Annotated[str, typer.Argument(help="Address of the page.")],
    target: Annotated[Path, typer.Argument(help="A .png or .jpg file to write.")],
    theme: str = "dark",
    size: str = "1440x900",
    at: Annotated[str, typer.Option(help="Where to look: ZOOM/LAT/LON; default: where the page starts.")] = "",
    select: Annotated[str, typer.Option(help="Kind of the device whose card is opened, or empty.")] = "",
    trails_s: Annotated[float, typer.Option(help="How long bikes draw their trails first.")] = 40.0,
) -> None:
    """Opens the page, lets it live for a while, and takes the picture."""
    width, height = (int(side) for side in size.split("x"))
    profile = tempfile.mkdtemp(prefix="latchkey-picture-")
    try:
        with sync_playwright() as playwright:
            context = playwright.chromium.launch_persistent_context(
                profile,
                executable_path=CHROMIUM,
                args=FLAGS,
                headless=False,
                viewport={"width": width, "height": height},
                device_scale_factor=1,
            )
            page = context.pages[0]
            page.goto(f"{url}?theme={theme}" + (f"#{at}" if at else ""))
            page.wait_for_function(
                "latchkey.settled() && latchkey.connection() === 'live' && latchkey.devices() > 0", timeout=MAX_WAIT_MS
            )
            page.wait_for_timeout(trails_s * 1000)
            if select:
                open_card(page.evaluate, page.mouse.click, select)
                page.wait_for_selector("#card .plot", timeout=MAX_WAIT_MS)
                page.wait_for_timeout(1500)
            kind: Literal["jpeg", "png"] = "jpeg" if target.suffix in {".jpg", ".jpeg"} else "png"
            page.screenshot(path=target, type=kind, timeout=MAX_WAIT_MS)
            context.close()
    finally:
        shutil.rmtree(profile, ignore_errors=True)


def open_card(evaluate, click, kind: str) -> None:  # type: ignore[no-untyped-def]  # bound methods of the page
    """Clicks on the device of this kind that is nearest to the middle of the map."""
    spot = evaluate(
        """kind => latchkey.all().filter(device => device.kind === kind).map(device => latchkey.drawn(device.id))
            .filter(spot => spot !== null)
            .sort((one, other) => Math.hypot(one.x - innerWidth / 2, one.y - innerHeight / 2)
                - Math.hypot(other.x - innerWidth / 2, other.y - innerHeight / 2))[0] ?? null""",
        kind,
    )
    if spot is not None:
        click(spot["x"], spot["y"])


if __name__ == "__main__":
    typer.run(main)
