import os
from pathlib import Path

from cli.page import is_current, newest_source


def page(tmp_path: Path) -> Path:
    web = tmp_path / "web"
    for folder in ("src", "dist", "node_modules"):
        (web / folder).mkdir(parents=True)
    for name, at_s in (("src/main.ts", 100), ("dist/index.html", 200), ("node_modules/left.js", 900)):
        (web / name).touch()
        os.utime(web / name, (at_s, at_s))
    return web


def test_a_page_is_current_when_it_is_newer_than_its_sources(tmp_path: Path) -> None:
    web = page(tmp_path)
    assert newest_source(web) == 100
    assert is_current(web)
    os.utime(web / "src" / "main.ts", (300, 300))
    assert not is_current(web)


def test_a_page_that_was_never_built_is_not_current(tmp_path: Path) -> None:
    web = page(tmp_path)
    (web / "dist" / "index.html").unlink()
    assert not is_current(web)
