"""How often one rider, program, device or address may ask; a route names its limit as a dependency."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from math import ceil
from typing import Any, Final, Literal

import structlog
from fastapi import Depends, Request
from msgspec import Struct

from api.auth.doors import Doors, subscriber
from api.auth.principal import Principal, Role
from api.problems import Problem
from gateway.ports import StoreUnavailable
from gateway.rates import Bucket, RateLimits

By = Literal["principal", "device", "address"]

MAX_NEARBY_FOR_RIDERS = 50
"""A list on a phone; whoever wants the whole fleet is no rider."""

MAX_WISHES = 20_000
"""Some minutes of a busy operator; what was forgotten is counted once more."""

log = structlog.get_logger()


class Limit(Struct, frozen=True):
    """`at_once`, and then `per_minute`: in no minute more than both together."""

    at_once: int
    per_minute: int
    roles: frozenset[Role] = frozenset(Role)
    """Whom it counts, where it counts principals."""


LIMITS: Final[Mapping[tuple[str, By], Limit]] = {
    # Together 60 in any minute.
    ("nearby", "principal"): Limit(15, 45, frozenset({Role.RIDER})),
    # Phones of a mobile network share addresses; a guessed code is worth nothing, the other server's patience is.
    ("login", "address"): Limit(60, 120),
    ("enrol", "address"): Limit(30, 60),
    # A person does not open more; an operator's back end acts for all its riders.
    ("commands", "principal"): Limit(30, 60, frozenset({Role.STAFF, Role.OPERATOR_ADMIN})),
    # Whoever repeats a wish under its Idempotency-Key orders nothing new; it costs us a look all the same.
    ("commands_again", "principal"): Limit(1_200, 600),
    # More than any use of one device; its radio is shared with its reports.
    ("commands", "device"): Limit(20, 60),
}


class Limiter:
    """Asks the shared buckets, and those of this process while Redis is away. Who was told to wait is refused from
    memory until then: whoever presses on without end costs no other a question."""

    def __init__(
        self, shared: RateLimits, local: RateLimits, doors: Doors, monotonic_s: Callable[[], float]
    ) -> None:
        self._shared = shared
        self._local = local
        self._doors = doors
        self._monotonic_s = monotonic_s
        self._wishes: dict[tuple[str, str, str], None] = {}
        """Principal, path and Idempotency-Key of those that were let in lately."""
        self._full_until_s: dict[str, float] = {}
        """By the names of the buckets that were asked together."""

    async def allow(self, name: str, who: Mapping[By, str], role: Role | None) -> None:
        """Raises Problem 429 with Retry-After."""
        await self._take(self._buckets(name, who, role))

    def _buckets(self, name: str, who: Mapping[By, str], role: Role | None) -> list[Bucket]:
        """Those that count. Raises Problem when it is known that one is empty."""
        buckets = [
            Bucket(f"{name}:{by}:{whom}", limit.at_once, limit.per_minute / 60)
            for by, whom in who.items()
            if (limit := LIMITS.get((name, by))) and (by != "principal" or role in limit.roles)
        ]
        if self._full_until_s:
            now_s = self._monotonic_s()
            wait_s = self._full_until_s.get(_named_together(buckets), now_s) - now_s
            if wait_s > 0:
                raise _too_many(wait_s)
        return buckets

    async def _take(self, buckets: Sequence[Bucket]) -> None:
        if not buckets:
            return
        try:
            wait_ms = await self._shared.take(buckets)
        except StoreUnavailable as error:
            log.warning("rate_limits_are_local", reason=str(error))
            wait_ms = await self._local.take(buckets)
        if wait_ms:
            if len(self._full_until_s) >= MAX_WISHES:
                del self._full_until_s[next(iter(self._full_until_s))]
            self._full_until_s[_named_together(buckets)] = self._monotonic_s() + wait_ms / 1000
            raise _too_many(wait_ms / 1000)

    async def allow_principal(self, name: str, principal: Principal) -> None:
        """The limit of one principal alone. Raises Problem."""
        await self.allow(name, {"principal": _named(principal)}, principal.role)

    async def allow_wish(
        self, name: str, who: Mapping[By, str], role: Role | None, *, path: str, key: str
    ) -> None:
        """As `allow`; one that was let in before under the same Idempotency-Key is under a limit of its own.
        Raises Problem."""
        wish = (who.get("principal", ""), path, key[:128])
        repeated = bool(key) and wish in self._wishes
        await self.allow(f"{name}_again" if repeated else name, who, role)
        if key and not repeated:
            # Only now: its twin that came while it was counted is counted as well.
            self._note(wish)

    def _note(self, wish: tuple[str, str, str]) -> None:
        if len(self._wishes) >= MAX_WISHES:
            del self._wishes[next(iter(self._wishes))]
        self._wishes[wish] = None

    def order_allowed(
        self, principal: Principal, device: str, *, path: str, key: str
    ) -> Coroutine[Any, Any, None]:
        """To be awaited; as the route that orders commands counts. Raises Problem, at once where that is known."""
        who: dict[By, str] = {
            "principal": _named(principal),
            "device": f"{principal.operator_id}:{device[:64]}",
        }
        if (who["principal"], path, key[:128]) not in self._wishes:
            self._buckets("commands", who, principal.role)
        return self.allow_wish("commands", who, principal.role, path=path, key=key)

    def address(self, request: Request) -> str:
        """Where a request came from, behind proxies of ours too."""
        peer = request.client.host if request.client is not None else ""
        # RFC 9110, 5.3: lines of one name are one list. A proxy may add its own line after one that the client made up.
        forwarded = ",".join(request.headers.getlist("x-forwarded-for")) or None
        return self._doors.address(peer, forwarded)


def _named_together(buckets: Sequence[Bucket]) -> str:
    return " ".join(bucket.name for bucket in buckets)


def _too_many(wait_s: float) -> Problem:
    detail = "Asked too often: wait as long as Retry-After says."
    return Problem("too_many_requests", 429, detail, retry_after_s=max(1, ceil(wait_s)))


def limited(name: str, *, by: Sequence[By]) -> Any:
    """A dependency: `dependencies=[limited("commands", by=("principal", "device"))]`. The device is the path's `id`."""
    return Depends(_counting(name, tuple(by)))


def _counting(name: str, by: Sequence[By]) -> Callable[[Request], Awaitable[None]]:
    async def count(request: Request) -> None:
        limiter: Limiter = request.scope["state"]["world"].limiter
        principal: Principal | None = request.scope.get("principal")
        who: dict[By, str] = {}
        if "principal" in by and principal is not None:
            who["principal"] = _named(principal)
        if "device" in by:
            operator = principal.operator_id if principal is not None else 0
            who["device"] = f"{operator}:{request.path_params['id'][:64]}"
        if "address" in by:
            who["address"] = subscriber(limiter.address(request))
        role = principal.role if principal is not None else None
        # Where nobody says who they are, anybody's key would be everybody's.
        key = request.headers.get("idempotency-key", "") if "principal" in who else ""
        await limiter.allow_wish(name, who, role, path=request.url.path, key=key)

    return count


def _named(principal: Principal) -> str:
    return f"{principal.operator_id}:{principal.name}"
