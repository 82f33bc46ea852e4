"""The README names a test for every promise, a command for every figure, and files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.zh-CN.md")
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
_LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


@pytest.mark.parametrize("readme", READMES)
def test_every_promise_names_a_test_that_exists(readme: str) -> None:
    rows = [line for line in (ROOT / readme).read_text().splitlines() if line.startswith("| **")]
    assert len(rows) >= 8
    for row in rows:
        named = _TEST.findall(row)
        assert named, f"no test holds: {row}"
        for path, test in named:
            source = (ROOT / path).read_text()
            assert not test or re.search(
                rf"^(async )?def {test}\b|^    (async )?def {test}\b", source, re.M
            ), f"{path} has no {test}"


@pytest.mark.parametrize("readme", READMES)
def test_every_link_leads_somewhere(readme: str) -> None:
    missing = [
        target for target in _LINK.findall((ROOT / readme).read_text()) if not (ROOT / target).exists()
    ]
    assert not missing


@pytest.mark.parametrize("readme", READMES)
def test_every_table_of_figures_names_the_command_that_prints_it(readme: str) -> None:
    text = (ROOT / readme).read_text()
    for subject in ("ingest", "map-latency", "nearby"):
        assert f"./latchkey bench {subject}" in text
