"""The plain order of a command without the framework, which would take as long as all the rest of the API's part."""

import asyncio
import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from api.auth.principal import Principal
from api.command_answer import command_json
from api.command_schemas import CLAIM_PATTERN, KindOfCommand
from api.direct import DirectAnswer, answered
from api.ordering import order_of
from api.ports import KnownDevice
from api.problems import Problem
from api.routes.commands import KEY_PATTERN, MAX_WAIT_S, ORDER_PATH
from api.routes.devices import NAME_PATTERN
from api.telemetry import App, Message, Receive, Send
from api.world import World
from firmware_protocol.commands import CommandKind
from firmware_protocol.limits import MAX_SLOTS
from gateway.commands.issue import DEFAULT_TTL_S, MAX_TTL_S, MIN_TTL_S, Wish
from gateway.ports import StoreUnavailable

MAX_PLAIN_BYTES = 1_024
"""Several times a plain wish."""

_BEFORE, _AFTER = ORDER_PATH.split("{id}")
_NAME: Final = re.compile(NAME_PATTERN)
_KEY: Final = re.compile(KEY_PATTERN.encode())
_WAIT: Final = re.compile(rb"wait_s=([0-9]{1,2}(\.[0-9]{1,3})?)")


class PlainWish(Struct, frozen=True, forbid_unknown_fields=True):
    """What is nearly always wanted. It takes nothing that `CommandWish` would not take as the same."""

    kind: KindOfCommand
    slot: Annotated[int, Meta(ge=0, le=MAX_SLOTS)] = 0
    ttl_s: Annotated[int, Meta(ge=MIN_TTL_S, le=MAX_TTL_S)] = DEFAULT_TTL_S
    claim_id: Annotated[str, Meta(pattern=CLAIM_PATTERN.replace("$", r"\Z"))] = ""


_decode = msgspec.json.Decoder(PlainWish).decode


class PlainOrder(Struct, frozen=True):
    """A whole request that was understood."""

    device: str
    key: str
    wait_s: float
    wish: PlainWish

    def wish_for(self, known: KnownDevice, principal: Principal) -> Wish:
        """As the flow takes it."""
        return Wish(
            device=known.record,
            model=known.model,
            kind=CommandKind[self.wish.kind.upper()],
            requested_by=principal.name,
            idempotency_key=self.key,
            slot=self.wish.slot,
            ttl_s=self.wish.ttl_s,
            claim_id=self.wish.claim_id,
        )


class DirectOrders:
    """Answers what it understands to the letter. All else, and whatever is wrong in any way, is the application's,
    which hears the request from its beginning and says what is wrong."""

    path = ORDER_PATH

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        asked = _asked(scope) if scope["type"] == "http" and scope["method"] == "POST" else None
        if asked is None:
            return await self._app(scope, receive, send)
        try:
            principal = await scope["state"]["world"].gate.admit_somebody(
                "POST", ORDER_PATH, scope["headers"]
            )
        except (Problem, StoreUnavailable):
            # Nothing more is read of somebody who is not known; the application says so.
            return await self._app(scope, receive, send)
        first = await receive()
        order = _understood(*asked, first)
        if order is None:
            return await self._app(scope, _again(first, receive), send)
        scope["route"] = self

        async def answer(scope: Message, world: World) -> DirectAnswer:
            return await _ordered(order, principal, scope["path"], world)

        return await answered(scope, receive, send, answer)


async def _ordered(order: PlainOrder, principal: Principal, path: str, world: World) -> DirectAnswer:
    """Raises Problem, StoreUnavailable."""
    # Redis is asked for the limit and for the device at once.
    allowed = asyncio.ensure_future(
        world.limiter.order_allowed(principal, order.device, path=path, key=order.key)
    )
    try:
        ordered = await order_of(
            world,
            principal,
            order.device,
            lambda known: order.wish_for(known, principal),
            wait_s=order.wait_s,
            allowed=allowed,
        )
    except (Problem, StoreUnavailable):
        # Whoever asks too often is told that, and nothing of the device.
        await allowed
        raise
    finally:
        if not allowed.cancel() and not allowed.cancelled():
            # Whatever else went wrong, its word was not heard yet.
            allowed.exception()
    return DirectAnswer(command_json(ordered.command), ordered.status, ordered.headers())


def _asked(scope: Message) -> tuple[str, str, float] | None:
    """Device, key and seconds to wait; None unless all three are there in their plainest form."""
    path: str = scope["path"]
    device = path[len(_BEFORE) : -len(_AFTER)]
    if not (path.startswith(_BEFORE) and path.endswith(_AFTER) and _NAME.fullmatch(device)):
        return None
    query: bytes = scope["query_string"]
    wait = _WAIT.fullmatch(query)
    wait_s = float(wait[1]) if wait else 0.0
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    keys = [value for name, value in headers if name == b"idempotency-key"]
    types = [value for name, value in headers if name == b"content-type"]
    if (query and not wait) or wait_s > MAX_WAIT_S or types != [b"application/json"]:
        return None
    return (device, keys[0].decode(), wait_s) if len(keys) == 1 and _KEY.fullmatch(keys[0]) else None


def _understood(device: str, key: str, wait_s: float, first: Message) -> PlainOrder | None:
    """None unless the first piece is the whole of the body, and a plain wish."""
    body: bytes = first.get("body", b"")
    if first["type"] != "http.request" or first.get("more_body") or len(body) > MAX_PLAIN_BYTES:
        return None
    try:
        wish = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return PlainOrder(device, key, wait_s, wish)


def _again(first: Message, receive: Receive) -> Receive:
    """A `receive` that begins with what was taken from it."""
    taken: list[Message] = [first]

    async def from_the_beginning() -> Message:
        return taken.pop() if taken else await receive()

    return from_the_beginning
