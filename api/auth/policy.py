"""The one table that says who may ask what; what is not in it, nobody may."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from api.auth.principal import Role


class Openness(Enum):
    """Routes that ask nobody for a token."""

    PUBLIC = "public"
    """Says nothing of any operator."""
    OWN_SECRET = "own_secret"
    """The request carries another proof: a login code, an enrolment code, the broker's secret."""


Admitted = frozenset[Role] | Openness

EVERYONE: Final = frozenset(Role)
"""Of the operator, riders too: public ids only."""
OFFICE: Final = frozenset({Role.STAFF, Role.OPERATOR_ADMIN, Role.SERVICE})
"""Device ids, history, commands."""
ADMINS: Final = frozenset({Role.OPERATOR_ADMIN})

ROUTES: Final[Mapping[tuple[str, str], Admitted]] = {
    ("GET", "/v1/nearby"): EVERYONE,
    ("GET", "/v1/fleet"): EVERYONE,
    ("GET", "/v1/live"): EVERYONE,
    ("GET", "/v1/devices"): OFFICE,
    ("GET", "/v1/devices/{id}"): OFFICE,
    ("GET", "/v1/devices/{id}/history"): OFFICE,
    ("GET", "/v1/devices/{id}/commands"): OFFICE,
    ("POST", "/v1/devices/{id}/commands"): OFFICE,
    ("GET", "/v1/commands/{id}"): OFFICE,
    ("GET", "/v1/commands/{id}/timeline"): OFFICE,
    ("POST", "/v1/commands/{id}/cancel"): OFFICE,
    ("POST", "/v1/commands/{id}/abandon"): OFFICE - {Role.SERVICE},
    ("GET", "/v1/incidents"): OFFICE,
    ("GET", "/v1/quarantine"): OFFICE,
    ("GET", "/v1/audit"): ADMINS,
    ("POST", "/v1/login/wechat"): Openness.OWN_SECRET,
    ("POST", "/v1/enrol"): Openness.OWN_SECRET,
    ("POST", "/v1/broker/auth"): Openness.OWN_SECRET,
    ("POST", "/v1/broker/acl"): Openness.OWN_SECRET,
    ("GET", "/livez"): Openness.PUBLIC,
    ("GET", "/readyz"): Openness.PUBLIC,
    ("GET", "/metrics"): Openness.PUBLIC,
    ("GET", "/asyncapi.yaml"): Openness.PUBLIC,
    ("GET", "/asyncapi-devices.yaml"): Openness.PUBLIC,
}


def allowed_methods(path: str) -> tuple[str, ...]:
    """What this route (a path template) can be asked, by anybody."""
    return tuple(sorted(method for method, route in ROUTES if route == path))


def admitted(method: str, path: str) -> Admitted:
    """Who may ask this route, by its path template. Nobody where the table does not name it."""
    return ROUTES.get((method, path), frozenset())
