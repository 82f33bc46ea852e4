"""Tokens for what this machine runs itself: the demo's page, other verbs, tests and measurements."""

import time
from collections.abc import Mapping

TOKEN = "LATCHKEY_TOKEN"
"""A token or key a person has; it goes before any we could make."""
JWT_SECRET = "LATCHKEY_API_JWT_SECRET"
LIFE_S = 12 * 3600.0
"""A working day of looking at a demo."""


def token_of(
    settings: Mapping[str, str],
    *,
    role: str = "operator_admin",
    operator_id: int = 1,
    subject: str = "command-line",
    life_s: float = LIFE_S,
) -> str:
    """The one of the settings, or a new one where they have the API's secret; empty without either."""
    from api.auth.principal import Principal, Role
    from api.auth.settings import AuthSettings
    from api.auth.tokens import mint

    if settings.get(TOKEN):
        return settings[TOKEN]
    auth = AuthSettings.from_environment(settings, bound_host="127.0.0.1")
    if not auth.secrets:
        return ""
    rules = auth.signing_rules()
    return mint(Principal(Role(role), subject, operator_id), rules, now_s=time.time(), life_s=life_s)
