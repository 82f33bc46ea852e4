"""Who may ask what, as OpenAPI says it: from the same table that decides."""

from typing import Any

from api.auth.policy import Openness, admitted
from api.problems import responses

SCHEMES: dict[str, Any] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Claims iss, aud, exp, iat, sub, role (rider, staff, operator_admin, service), operator_id.",
    },
    "key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "lk_ID_SECRET",
        "description": "An API key of a program, made by `./latchkey key create`.",
    },
}
_ANY_OF_THEM: list[dict[str, list[str]]] = [{name: []} for name in SCHEMES]
_REFUSALS = {
    str(status): {key: value for key, value in one.items() if key != "model"}
    for status, one in responses(401, 403, 429, 503).items()
}


def with_security(document: dict[str, Any]) -> dict[str, Any]:
    """The document with who may ask each operation, and how those are answered who may not. Safe to repeat."""
    document["components"].setdefault("securitySchemes", SCHEMES)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            who = admitted(method.upper(), path)
            if isinstance(who, Openness):
                operation["security"] = []
                continue
            operation["security"] = _ANY_OF_THEM
            operation["x-roles"] = sorted(who)
            operation["responses"] |= {
                status: one for status, one in _REFUSALS.items() if status not in operation["responses"]
            }
    return document
