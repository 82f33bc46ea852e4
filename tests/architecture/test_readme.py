"""The README names a test for every promise, a command for every figure, and files that exist."""

import re
from pathlib import Path

import pytest

from cli.bench import Subject

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.zh-CN.md")
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
_LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


def promises(readme: str) -> list[str]:
    """The rows of the one table whose rows begin with a sentence in bold; each of its rows must."""
    tables = re.findall(r"(?:^\|.*\n)+", (ROOT / readme).read_text(), re.M)
    (table,) = [table for table in tables if "\n| **" in table]
    rows: list[str] = table.splitlines()[2:]
    assert [row for row in rows if not row.startswith("| **")] == []
    return rows


@pytest.mark.parametrize("readme", READMES)
def test_every_promise_names_a_test_that_exists(readme: str) -> None:
    for row in promises(readme):
        named = _TEST.findall(row)
        assert named, f"no test holds: {row}"
        for path, test in named:
            source = (ROOT / path).read_text()
            assert not test or re.search(
                rf"^(async )?def {test}\b|^    (async )?def {test}\b", source, re.M
            ), f"{path} has no {test}"


def test_the_same_promises_are_held_by_the_same_tests_in_both_languages() -> None:
    english, chinese = ([set(_TEST.findall(row)) for row in promises(readme)] for readme in READMES)
    assert english == chinese


@pytest.mark.parametrize("readme", READMES)
def test_every_link_leads_somewhere(readme: str) -> None:
    missing = [
        target for target in _LINK.findall((ROOT / readme).read_text()) if not (ROOT / target).exists()
    ]
    assert not missing


@pytest.mark.parametrize("readme", READMES)
def test_every_table_of_figures_names_the_command_that_prints_it(readme: str) -> None:
    text = (ROOT / readme).read_text()
    for subject in Subject:
        assert f"| `./latchkey bench {subject}" in text, "no table"
        assert f"\n./latchkey bench {subject} " in text, "no command to copy"
