from datetime import date
from pathlib import Path

import pytest

from cli.shape import Allowed, Finding, Limits, findings, judge, read_rules
from cli.stack import CHECKOUT

LIMITS = Limits(file_lines=20, function_lines=5, function_lines_nine_in_ten=3, positional_parameters=2)
TODAY = date(2026, 5, 1)
LONG = '"""One."""\n\n\ndef long(a: int) -> int:\n' + "    a += 1\n" * 6 + "    return a\n"


def project(root: Path, path: str, text: str, *, mirrored: bool = True) -> list[str]:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    if mirrored:
        mirror = root / "tests" / "unit" / Path(path).parent / f"test_{Path(path).name}"
        mirror.parent.mkdir(parents=True, exist_ok=True)
        mirror.touch()
    return sorted({finding.rule for finding in findings(root, LIMITS)})


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ('"""One."""\n', []),
        ("x = 1\n", ["docstring"]),
        ('"""One."""\n' + "x = 1\n" * 30, ["file_lines"]),
        (LONG, ["function_lines", "function_lines_nine_in_ten"]),
        ('"""One."""\n\n\ndef many(a: int, b: int, c: int) -> None: ...\n', ["positional_parameters"]),
        ('"""One."""\n\n\ndef named(a: int, *, b: int, c: int, d: int) -> None: ...\n', []),
        ('"""One."""\n\n\nclass DeviceManager:\n    x = 1\n', ["words"]),
    ],
)
def test_each_rule_is_seen(tmp_path: Path, text: str, rules: list[str]) -> None:
    assert project(tmp_path, "geo/thing.py", text) == rules


def test_a_module_with_decisions_needs_its_mirror_test(tmp_path: Path) -> None:
    text = '"""One."""\n\n\ndef pick(a: int) -> int:\n    b = a\n    return b\n'
    assert project(tmp_path, "geo/pick.py", text, mirrored=False) == ["mirror"]


def test_a_module_that_only_declares_needs_none(tmp_path: Path) -> None:
    text = '"""One."""\n\n\nclass Lost(Exception):\n    def __init__(self, a: int) -> None:\n        self.a = a\n'
    assert project(tmp_path, "geo/errors.py", text, mirrored=False) == []


def test_a_store_may_have_its_mirror_among_the_contracts(tmp_path: Path) -> None:
    (tmp_path / "tests" / "contract").mkdir(parents=True)
    (tmp_path / "tests" / "contract" / "test_history.py").touch()
    text = '"""One."""\n\n\ndef pick(a: int) -> int:\n    b = a\n    return b\n'
    assert project(tmp_path, "gateway/stores/history.py", text, mirrored=False) == []


def test_an_exception_counts_until_its_day_and_only_while_it_is_needed() -> None:
    finding = Finding("geo/a.py", "file_lines", "301 lines")
    allowed = Allowed("geo/a.py", "file_lines", "being split", date(2026, 6, 1))
    assert judge([finding], [allowed], TODAY) == []
    assert len(judge([finding], [], TODAY)) == 1
    assert "no longer needed" in judge([], [allowed], TODAY)[0]
    assert any("ended on" in line for line in judge([finding], [allowed], date(2026, 7, 1)))


def test_the_project_says_its_own_limits() -> None:
    limits, allowed = read_rules(CHECKOUT / "pyproject.toml")
    assert limits == Limits(300, 50, 30, 4)
    assert all(one.reason for one in allowed)
