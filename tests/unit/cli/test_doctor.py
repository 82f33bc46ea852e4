import pytest
from typer.testing import CliRunner

from cli import doctor
from cli.examination import Finding, Grade
from cli.main import application


@pytest.mark.parametrize(
    ("grade", "exit_code"), [(Grade.GOOD, 0), (Grade.WORTH_KNOWING, 0), (Grade.WRONG, 1)]
)
def test_only_what_is_wrong_fails_and_every_finding_is_said(
    monkeypatch: pytest.MonkeyPatch, grade: Grade, exit_code: int
) -> None:
    monkeypatch.setattr(doctor, "known_settings", dict)
    monkeypatch.setattr(
        doctor, "examine_machine", lambda: [Finding("disk", grade, "how it is", "rm -rf old")]
    )
    answer = CliRunner().invoke(application(("doctor",)), ["doctor"])
    assert answer.exit_code == exit_code
    assert "disk: how it is" in answer.output
    assert "mend it with: rm -rf old" in answer.output
