from pathlib import Path

import pytest

from cli import page
from cli.page import PageNotBuilt, ensure_page, is_current

NPM = """#!/bin/sh
[ "$1" = run ] || exit 0
{meanwhile}
mkdir -p dist && echo page >dist/index.html
exit {code}
"""


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page whose tools are pretended; not built yet."""
    web = tmp_path / "web"
    for folder in ("src", "node_modules"):
        (web / folder).mkdir(parents=True)
    for name in ("src/main.ts", "src/other.ts", "package.json", "node_modules/left.js"):
        (web / name).touch()
    for name, value in (("WEB", web), ("BUILT", web / "dist"), ("STATE_FOLDER", tmp_path / "state")):
        monkeypatch.setattr(page, name, value)
    monkeypatch.setattr(page, "ensure_node", lambda: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    npm(web)
    return web


def npm(web: Path, *, meanwhile: str = "", code: int = 0) -> None:
    """What npm does from now on."""
    program = web.parent / "npm"
    program.write_text(NPM.format(meanwhile=meanwhile, code=code))
    program.chmod(0o755)


def test_a_page_is_built_once_and_after_its_sources_change(web: Path) -> None:
    assert not is_current(web)
    assert ensure_page() == web / "dist"
    assert is_current(web)
    (web / "node_modules" / "left.js").write_text("installed anew")
    assert is_current(web)
    (web / "src" / "main.ts").write_text("changed")
    assert not is_current(web)
    ensure_page()
    assert is_current(web)


def test_a_deleted_source_is_noticed(web: Path) -> None:
    ensure_page()
    (web / "src" / "other.ts").unlink()
    assert not is_current(web)


def test_a_source_that_is_edited_during_the_build_is_noticed(web: Path) -> None:
    npm(web, meanwhile="echo edited >src/main.ts")
    ensure_page()
    assert not is_current(web)


def test_a_build_that_did_not_reach_its_end_is_not_current(web: Path) -> None:
    ensure_page()
    before = (web / "src" / "main.ts").read_text()
    (web / "src" / "main.ts").write_text("changed")
    npm(web, code=1)
    with pytest.raises(PageNotBuilt):
        ensure_page()
    assert not is_current(web)
    # Half of the new page would pass for the old one.
    (web / "src" / "main.ts").write_text(before)
    assert not is_current(web)


def test_where_there_is_only_the_built_page_it_is_current(web: Path) -> None:
    """As in the image."""
    ensure_page()
    (web / "package.json").unlink()
    (web / "dist" / ".sources").unlink()
    assert is_current(web)
    (web / "dist" / "index.html").unlink()
    assert not is_current(web)
