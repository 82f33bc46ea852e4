import pytest

from cli import check
from cli.stack import CHECKOUT


def test_everything_wrong_is_said_before_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        check, "PROGRAMS", {"format": ("ruff", "no-such-command"), "lint": ("ruff", "--version")}
    )
    monkeypatch.setattr(check, "shape_complaints", lambda root, today: ["too long"])
    said: list[str] = []
    assert not check.all_well(said.append)
    lines = "\n".join(said).splitlines()
    assert "check format: FAILED" in lines
    assert "check lint: ok" in lines
    assert "check shape: FAILED" in lines
    assert "too long" in lines
    assert any(line.startswith("mend it with: ") for line in lines)


def test_nothing_wrong_is_said_in_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PROGRAMS", {"lint": ("ruff", "--version")})
    monkeypatch.setattr(check, "shape_complaints", lambda root, today: [])
    said: list[str] = []
    assert check.all_well(said.append)
    assert said == ["check lint: ok", "check shape: ok"]


def test_every_program_is_one_of_the_locked_packages() -> None:
    lock = (CHECKOUT / "requirements.lock").read_text()
    packages = {"ruff": "ruff", "mypy": "mypy", "lint-imports": "import-linter"}
    assert all(f"{packages[command[0]]}==" in lock for command in check.PROGRAMS.values())
