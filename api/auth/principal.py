"""Who is asking: a role, a subject and the operator they belong to."""

from enum import StrEnum
from math import inf

from fastapi import Request
from msgspec import Struct


class Role(StrEnum):
    """What somebody may do; the table in `policy.py` says where."""

    RIDER = "rider"
    STAFF = "staff"
    OPERATOR_ADMIN = "operator_admin"
    SERVICE = "service"


class Principal(Struct, frozen=True):
    """Somebody whose token or key was good."""

    role: Role
    subject: str
    """Names the person or the program within the operator; for riders a random id, never an openid."""
    operator_id: int
    issued_s: float = 0.0
    """Unix seconds; tokens from before a revocation are refused."""
    until_s: float = inf
    """Unix seconds at which the token ends; a key has no such moment."""

    @property
    def name(self) -> str:
        """As commands and the audit log name them: `role:subject`."""
        return f"{self.role}:{self.subject}"


def principal_of(request: Request) -> Principal:
    """Who sent this request; the route is one that asks."""
    principal: Principal = request.scope["principal"]
    return principal
