"""Pages for people lead somewhere: their links, the tests they name, the list of decisions."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DECISIONS = ROOT / "docs" / "decisions"
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        ROOT / "SECURITY.md",
        ROOT / "CHANGELOG.md",
        ROOT / "firmware_protocol" / "c" / "README.md",
        *(ROOT / "docs").rglob("*.md"),
    )
)
_LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    missing = [link for link in _LINK.findall((ROOT / page).read_text()) if not (folder / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_exists(page: str) -> None:
    for path, test in _TEST.findall((ROOT / page).read_text()):
        assert (ROOT / path).exists(), path
        assert not test or re.search(rf"def {test}\b", (ROOT / path).read_text()), f"{path} has no {test}"


def test_the_list_of_decisions_names_each_once_and_in_order() -> None:
    listed = re.findall(r"^\| \[(\d{4})\]\(([^)]+)\)", (DECISIONS / "README.md").read_text(), re.MULTILINE)
    files = sorted(path.name for path in DECISIONS.glob("0*.md"))
    assert [name for _, name in listed] == files
    assert [number for number, _ in listed] == [name[:4] for name in files]
    assert [int(name[:4]) for name in files] == list(range(1, len(files) + 1))
