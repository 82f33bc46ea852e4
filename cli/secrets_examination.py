"""What the settings here lack for devices with keys, people with tokens, and a broker that knows its devices."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from cli.examination import Finding, Grade
from cli.running import POSTGRES_DSN
from cli.tokens import JWT_SECRET

KEY_SETTING = "LATCHKEY_KEY_ENCRYPTION_KEY"
PASSWORDS_SETTING = "LATCHKEY_BROKER_PASSWORDS"
HOOK_SETTING = "LATCHKEY_BROKER_HOOK_SECRET"

_NEW_HOOK = f'export {HOOK_SETTING}="$(openssl rand -hex 24)"'


def examine_secrets(settings: Mapping[str, str]) -> list[Finding]:
    """Of servers of your own; `up` and the demo make all of this themselves. No secret is ever repeated."""
    if not settings.get(POSTGRES_DSN):
        return [Finding("secrets", Grade.GOOD, "up and demo make their own")]
    examinations: tuple[Callable[[Mapping[str, str]], Finding], ...] = (
        examine_key_encryption,
        examine_tokens,
        examine_broker,
    )
    return [examine(settings) for examine in examinations]


def examine_key_encryption(settings: Mapping[str, str]) -> Finding:
    """Whether the keys of devices can be sealed and opened."""
    from gateway.key_wrapping import BadKeyEncryptionKey, KeyWrapping

    try:
        wrapping = KeyWrapping.from_environment(settings)
    except BadKeyEncryptionKey as error:
        mended_by = f'export {KEY_SETTING}="$(./latchkey key new)"'
        return Finding("key-encryption key", Grade.WRONG, f"{KEY_SETTING} {error}", mended_by)
    what = f"{wrapping.newest} seals the keys of devices, {len(wrapping.keys)} can open them"
    return Finding("key-encryption key", Grade.GOOD, what)


def examine_tokens(settings: Mapping[str, str]) -> Finding:
    """Whether the API can verify tokens."""
    from api.auth.settings import AuthSettings
    from api.bad_settings import BadSettings

    mended_by = f'export {JWT_SECRET}="$(openssl rand -base64 48)"'
    try:
        auth = AuthSettings.from_environment(settings, bound_host="127.0.0.1")
    except BadSettings as error:
        sentence = str(error).split(";")[0]
        return Finding("tokens", Grade.WRONG, sentence, mended_by if sentence.startswith(JWT_SECRET) else "")
    if not auth.secrets and not auth.jwks:
        what = f"neither {JWT_SECRET} nor LATCHKEY_API_JWKS is set: only API keys are taken"
        return Finding("tokens", Grade.WORTH_KNOWING, what, mended_by)
    return Finding("tokens", Grade.GOOD, "signed with a secret of ours" if auth.secrets else "of an issuer")


def examine_broker(settings: Mapping[str, str]) -> Finding:
    """Whether the broker hears who may connect."""
    from api.auth.settings import secret_of
    from api.bad_settings import BadSettings
    from api.settings import MIN_BROKER_SECRET_BYTES

    about, passwords = "broker's devices", settings.get(PASSWORDS_SETTING, "")
    try:
        hook = secret_of(settings, HOOK_SETTING)
    except BadSettings as error:
        return Finding(about, Grade.WRONG, str(error), _NEW_HOOK)
    if not passwords and not hook:
        what = "no gateway writes the broker's list and it asks nobody: new devices cannot enter, suspended ones stay"
        mended_by = f"export {PASSWORDS_SETTING}=/etc/mosquitto/latchkey/devices.passwords"
        return Finding(about, Grade.WORTH_KNOWING, what, mended_by)
    if hook and len(hook.encode()) < MIN_BROKER_SECRET_BYTES:
        what = f"{HOOK_SETTING} has fewer than {MIN_BROKER_SECRET_BYTES} bytes"
        return Finding(about, Grade.WRONG, what, _NEW_HOOK)
    if passwords and not (folder := Path(passwords).parent).is_dir():
        what = f"{PASSWORDS_SETTING} names a file in {folder}, which is no folder"
        return Finding(about, Grade.WRONG, what, f"./latchkey broker-files --into {shlex.quote(str(folder))}")
    return Finding(about, Grade.GOOD, f"written to {passwords}" if passwords else "the broker asks the API")
