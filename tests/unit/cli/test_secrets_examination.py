"""What is missing is named with the one command that mends it, and no secret is repeated."""

from pathlib import Path

import pytest

from cli.examination import Grade
from cli.secrets_examination import examine_secrets
from gateway.key_wrapping import new_key_encryption_key

KEY = "LATCHKEY_KEY_ENCRYPTION_KEY"
TOKENS = "LATCHKEY_API_JWT_SECRET"
PASSWORDS = "LATCHKEY_BROKER_PASSWORDS"
HOOK = "LATCHKEY_BROKER_HOOK_SECRET"


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, str]:
    return {
        "LATCHKEY_POSTGRES_DSN": "postgresql://h/d",
        KEY: new_key_encryption_key("k1"),
        TOKENS: "a secret of the tests: 32 bytes and more",
        PASSWORDS: str(tmp_path / "devices.passwords"),
    }


def test_whoever_has_set_everything_is_well(whole: dict[str, str]) -> None:
    assert {found.grade for found in examine_secrets(whole)} == {Grade.GOOD}


def test_without_servers_of_their_own_nobody_needs_any() -> None:
    (found,) = examine_secrets({})
    assert found.grade is Grade.GOOD


@pytest.mark.parametrize(
    ("name", "value", "grade", "mended_by"),
    [
        (KEY, "", Grade.WRONG, f'export {KEY}="$(./latchkey key new)"'),
        (KEY, "k1:canary", Grade.WRONG, f'export {KEY}="$(./latchkey key new)"'),
        (TOKENS, "", Grade.WORTH_KNOWING, f'export {TOKENS}="$(openssl rand -base64 48)"'),
        (TOKENS, "canary", Grade.WRONG, f'export {TOKENS}="$(openssl rand -base64 48)"'),
        (PASSWORDS, "", Grade.WORTH_KNOWING, f"export {PASSWORDS}=/etc/mosquitto/latchkey/devices.passwords"),
        (PASSWORDS, "/nowhere/at-all/x", Grade.WRONG, "./latchkey broker-files --into /nowhere/at-all"),
        (PASSWORDS, "/my bikes/x", Grade.WRONG, "./latchkey broker-files --into '/my bikes'"),
        (HOOK, "canary", Grade.WRONG, f'export {HOOK}="$(openssl rand -hex 24)"'),
    ],
)
def test_what_is_missing_or_wrong_names_its_mending(
    whole: dict[str, str], name: str, value: str, grade: Grade, mended_by: str
) -> None:
    (found,) = [one for one in examine_secrets(whole | {name: value}) if one.grade is not Grade.GOOD]
    assert (found.grade, found.mended_by) == (grade, mended_by)
    assert "canary" not in found.what + found.mended_by
