"""A token of one's own goes first; else one is made where the API's secret is known."""

import time

from api.auth.tokens import TokenRules, verify
from cli.tokens import token_of

SECRET = "a secret of at least thirty-two bytes"


def test_a_token_is_made_for_the_api_of_these_settings() -> None:
    token = token_of({"LATCHKEY_API_JWT_SECRET": SECRET}, role="staff", operator_id=3, life_s=60)
    rules = TokenRules("latchkey", "latchkey-api", (SECRET.encode(),))
    who = verify(token, rules, now_s=time.time())
    assert (who.role, who.operator_id, who.subject) == ("staff", 3, "command-line")


def test_a_token_that_somebody_has_goes_first() -> None:
    assert token_of({"LATCHKEY_API_JWT_SECRET": SECRET, "LATCHKEY_TOKEN": "mine"}) == "mine"


def test_without_any_there_is_none() -> None:
    assert token_of({}) == ""
