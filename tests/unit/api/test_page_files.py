"""What a browser is told about the page."""

from pathlib import Path

import pytest

from api.page_files import HEADERS, TILES
from tests.unit.api.surface import serving

WEB = Path(__file__).parents[3] / "web"


@pytest.mark.parametrize("path", ["/", "/index.html", "/main.js"])
async def test_nothing_foreign_runs_on_the_page_and_no_page_frames_it(tmp_path: Path, path: str) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "main.js").write_text("1")
    async with serving(web_dir=tmp_path) as surface:
        answer = await surface.http.get(path)
        again = await surface.http.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (answer.status_code, again.status_code) == (200, 304)
    for name, value in HEADERS.items():
        assert answer.headers[name] == again.headers[name] == value
    rules = dict(rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert rules["script-src"] == "'self'"


def test_the_map_may_load_the_tiles_that_the_page_names() -> None:
    assert TILES in (WEB / "src" / "map" / "fleet_map.ts").read_text()
    assert "<style" not in (WEB / "index.html").read_text()


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_no_program_from_elsewhere_shows_the_routes(path: str) -> None:
    async with serving() as surface:
        assert (await surface.http.get(path)).status_code == 404
