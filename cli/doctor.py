"""The verb `doctor`: what is missing or misconfigured, and the one command that mends it."""

from typing import Annotated

import typer

from cli.examination import Finding, Grade, examine_machine
from cli.readiness import examine_gateway
from cli.running import GATEWAY_ADDRESS, known_settings
from cli.secrets_examination import examine_secrets

MARKS = {Grade.GOOD: "ok  ", Grade.WORTH_KNOWING: "note", Grade.WRONG: "BAD "}


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("doctor")(doctor)


def doctor(
    *,
    gateway: Annotated[
        str, typer.Option(help="Address of a running gateway, such as http://127.0.0.1:8090.")
    ] = "",
) -> None:
    """Looks at this machine, and at a running gateway when you name one; changes nothing.

    Exit code 0: nothing is wrong. 1: something is; each line says the command that mends it.

      ./latchkey doctor

      ./latchkey doctor --gateway http://127.0.0.1:8090
    """
    settings = known_settings()
    address = gateway or settings.get(GATEWAY_ADDRESS, "")
    findings = examine_machine() + examine_secrets(settings)
    if address:
        findings += examine_gateway(address)
    for finding in findings:
        print(_line(finding))
    raise typer.Exit(1 if any(finding.grade is Grade.WRONG for finding in findings) else 0)


def _line(finding: Finding) -> str:
    mended = f"\n      mend it with: {finding.mended_by}" if finding.mended_by else ""
    return f"{MARKS[finding.grade]}  {finding.about}: {finding.what}{mended}"
