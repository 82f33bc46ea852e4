"""What a running gateway says about itself, as findings."""

import json
import urllib.error
import urllib.request

from cli.examination import Finding, Grade

ASK_TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 64 * 1024


def examine_gateway(address: str) -> list[Finding]:
    """Asks `/readyz`; an address that does not answer is a finding too."""
    url = f"{address.rstrip('/')}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=ASK_TIMEOUT_S) as answer:
            said = answer.read(MAX_ANSWER_BYTES).decode(errors="replace")
    except urllib.error.HTTPError as refused:
        said = refused.read(MAX_ANSWER_BYTES).decode(errors="replace")
        return [Finding("gateway", Grade.WRONG, f"not ready: {_short(said)}", f"curl -s {url}")]
    except (OSError, ValueError) as error:
        return [Finding("gateway", Grade.WRONG, f"{url} does not answer: {error}", "./latchkey up")]
    return [Finding("gateway", Grade.GOOD, f"ready: {_short(said)}")]


def _short(said: str) -> str:
    """One printable line of at most 300 characters, JSON flattened."""
    try:
        said = json.dumps(json.loads(said))
    except ValueError:
        said = " ".join(said.split())
    return "".join(sign for sign in said if sign.isprintable())[:300]
