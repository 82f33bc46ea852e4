from datetime import UTC, datetime
from pathlib import Path

from cli.check import shape_complaints

ROOT = Path(__file__).resolve().parents[2]


def test_files_functions_words_and_mirror_tests_are_as_the_house_wants_them() -> None:
    assert shape_complaints(ROOT, datetime.now(UTC).date()) == []
