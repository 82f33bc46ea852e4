"""What a broker that asks over HTTP (EMQX 5) may let devices do."""

import hmac
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, Field

from api.auth.guarded_route import GuardedRoute
from api.problems import Problem, responses
from api.world import world_of
from gateway.broker_port import Admission
from gateway.broker_verifier import matches
from gateway.core.broker_rights import Action, may
from gateway.core.device import Status

SECRET_HEADER = "X-Latchkey-Broker"
RESERVED = "lk-"
"""Gateways and bridges: another authenticator of the broker knows them."""

NO_NAME = frozenset({"", "undefined"})
"""What EMQX fills in for a certificate that is not there."""

MAX_CHARS = 1_024
"""A device id has 32; a broker hands on whatever a client said."""

Said = Annotated[str, Field(max_length=MAX_CHARS)]


class EntryQuestion(BaseModel):
    """A client that connects; what it did not say is empty."""

    username: Said = ""
    clientid: Said = ""
    password: Said = ""
    cert_common_name: Said = ""


class RightQuestion(BaseModel):
    """A client that publishes or subscribes."""

    username: Said = ""
    clientid: Said = ""
    action: Literal["publish", "subscribe"]
    topic: Said


class EntryAnswer(BaseModel):
    """`ignore` leaves it to the broker's next authenticator."""

    result: Literal["allow", "deny", "ignore"]
    is_superuser: Literal[False] = False


class RightAnswer(BaseModel):
    """`ignore` leaves it to the broker's next source of rights."""

    result: Literal["allow", "deny", "ignore"]


def _asked_by_our_broker(
    request: Request,
    secret: Annotated[str, Header(alias=SECRET_HEADER, description="The shared secret")] = "",
) -> None:
    wanted = world_of(request).broker.secret
    # Compared in any case: how long it takes says nothing.
    same = hmac.compare_digest(secret.encode(), wanted)
    if not wanted or not same:
        raise Problem("broker_unknown", 401, f"{SECRET_HEADER} is missing or wrong.")


router = APIRouter(tags=["brokers"], route_class=GuardedRoute, dependencies=[Depends(_asked_by_our_broker)])


@router.post("/v1/broker/auth", summary="May this client enter?", responses=responses(401, 422, 503))
async def entry(request: Request, question: EntryQuestion) -> EntryAnswer:
    """For EMQX 5 and others with its HTTP authentication. The client id must be the device id, so that nobody ends
    another one's session."""
    if question.username.startswith(RESERVED):
        return EntryAnswer(result="ignore")
    admission = await world_of(request).broker.access.of(question.username)
    return EntryAnswer(result="allow" if _enters(question, admission) else "deny")


@router.post("/v1/broker/acl", summary="May this client do that?", responses=responses(401, 422, 503))
async def right(request: Request, question: RightQuestion) -> RightAnswer:
    """A device in service publishes to its own hello, report and ack, and subscribes to its own welcome, receipt and
    cmd by their full names: no wildcards, no shared subscriptions."""
    if question.username.startswith(RESERVED):
        return RightAnswer(result="ignore")
    if not may(question.username, Action(question.action), question.topic):
        return RightAnswer(result="deny")
    admission = await world_of(request).broker.access.of(question.username)
    in_service = admission is not None and admission.status is Status.ACTIVE
    return RightAnswer(result="allow" if in_service and question.clientid == question.username else "deny")


def _enters(question: EntryQuestion, admission: Admission | None) -> bool:
    if admission is None or admission.status is not Status.ACTIVE or question.clientid != question.username:
        return False
    if question.cert_common_name not in NO_NAME:
        # The broker checked the certificate; ours is to know that it is this device's and stands.
        return question.cert_common_name == question.username and admission.has_certificate
    return bool(admission.verifier) and matches(question.password, admission.verifier)
