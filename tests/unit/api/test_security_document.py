"""OpenAPI says who may ask, and how the others are answered."""

from typing import Any

from api.auth.policy import ROUTES, Openness
from api.routing import application
from api.security_document import with_security


def test_each_operation_says_who_may_ask_it() -> None:
    app = application(lambda _: None, web_dir=None)  # type: ignore[arg-type, return-value]  # never entered
    document: dict[str, Any] = app.openapi()
    assert set(document["components"]["securitySchemes"]) == {"token", "key"}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            who = ROUTES[method.upper(), path]
            if isinstance(who, Openness):
                assert operation["security"] == []
            else:
                assert operation["security"] == [{"token": []}, {"key": []}]
                assert operation["x-roles"] == sorted(who)
                assert {"401", "403"} <= set(operation["responses"])


def test_saying_it_twice_changes_nothing() -> None:
    app = application(lambda _: None, web_dir=None)  # type: ignore[arg-type, return-value]  # never entered
    once = app.openapi()
    assert with_security(app.openapi()) == once
