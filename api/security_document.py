"""What OpenAPI says of every operation alike: who may ask it, and how bodies are refused that cannot be read."""

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


def _documented(*statuses: int) -> dict[str, Any]:
    return {
        str(status): {key: value for key, value in one.items() if key != "model"}
        for status, one in responses(*statuses).items()
    }


_REFUSALS = _documented(401, 403, 429, 503)
_UNREADABLE = _documented(400, 413)
"""No text in UTF-8, or more than any route takes."""


def with_security(document: dict[str, Any]) -> dict[str, Any]:
    """The document with who may ask each operation, and how those are answered who may not. Safe to repeat."""
    document["components"].setdefault("securitySchemes", SCHEMES)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if "requestBody" in operation:
                operation["responses"] = _UNREADABLE | operation["responses"]
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
