"""A principal is named by role and subject, and found where the route left it."""

from fastapi import Request

from api.auth.principal import Principal, Role, principal_of


def test_a_request_says_who_sent_it() -> None:
    who = Principal(Role.SERVICE, "key-abc", 1)
    assert principal_of(Request({"type": "http", "principal": who})) is who
    assert who.name == "service:key-abc"
