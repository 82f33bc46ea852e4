"""A device registers itself with a code that is good once."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from api.auth.guarded_route import GuardedRoute
from api.auth.limits import limited
from api.problems import FieldFault, Problem, bad_request, responses
from api.world import world_of
from firmware_protocol import topics
from firmware_protocol.errors import MalformedTopic
from firmware_protocol.limits import MAX_ID_CHARS
from gateway.enrolment_port import CodeRefused, DeviceTaken, Enrolled

MAX_CODE_CHARS = 64
"""Twenty-four and dashes, with room for what a person adds."""


class EnrolWish(BaseModel):
    """What a new device says."""

    code: Annotated[
        str, Field(min_length=1, max_length=MAX_CODE_CHARS, examples=["7KQ2MX-VB41TT-0ZC9EW-HF5RNA"])
    ]
    device_id: Annotated[
        str,
        Field(
            max_length=MAX_ID_CHARS,
            description="What it is called; drawn when empty",
            # Judged by the topic grammar: pydantic's own patterns cannot look ahead.
            json_schema_extra={"pattern": r"^((?!lk-)[A-Za-z0-9][A-Za-z0-9._:-]*)?$"},
        ),
    ] = ""


class DeviceTopics(BaseModel):
    """Where it speaks and listens, so that firmware need not hash."""

    hello: str
    report: str
    ack: str
    welcome: str
    receipt: str
    cmd: str


class EnrolAnswer(BaseModel):
    """All that a device needs; told this once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "device_id": "bike-000017",
                    "model": "city-bike",
                    "password": "m3-Lf0cTq9YbVw2sKxHr1aEz",
                    "key_number": 1,
                    "key_hex": "00" * 32,
                    "broker": "mqtts://mqtt.example.org:8883",
                    "topics": {
                        name: f"lk/v1/0a/bike-000017/{name}"
                        for name in ("hello", "report", "ack", "welcome", "receipt", "cmd")
                    },
                }
            ]
        }
    )

    device_id: str
    model: str
    password: str
    key_number: int
    key_hex: str = Field(description="32 bytes: verifies commands and welcomes, signs acks")
    broker: str = Field(description="Knows the device within five seconds: try again until then")
    topics: DeviceTopics


router = APIRouter(tags=["devices"], route_class=GuardedRoute)


@router.post(
    "/v1/enrol",
    status_code=201,
    summary="Register this device with a single-use code",
    responses=responses(403, 409, 422, 429, 503),
    dependencies=[limited("enrol", by=("address",))],
)
async def enrol(request: Request, wish: EnrolWish) -> EnrolAnswer:
    """The code is used up by the answer. A device that never got it needs another code."""
    world = world_of(request)
    try:
        return _answer(await world.enrolment.enrol(wish.code, wish.device_id), world.broker.address)
    except CodeRefused:
        raise Problem(
            "code_refused", 403, "The code is unknown, used or expired: ask the operator for another."
        ) from None
    except DeviceTaken as error:
        raise Problem("device_taken", 409, f"{error}.") from None
    except MalformedTopic as error:
        raise bad_request([FieldFault("device_id", str(error))]) from None


def _answer(enrolled: Enrolled, broker: str) -> EnrolAnswer:
    own = enrolled.device_id
    return EnrolAnswer(
        device_id=own,
        model=enrolled.model,
        password=enrolled.password,
        key_number=enrolled.key.number,
        key_hex=enrolled.key.secret.hex(),
        broker=broker,
        topics=DeviceTopics(
            hello=topics.hello_topic(own),
            report=topics.report_topic(own),
            ack=topics.ack_topic(own),
            welcome=topics.welcome_topic(own),
            receipt=topics.receipt_topic(own),
            cmd=topics.command_topic(own),
        ),
    )
