"""A broker that asks is told who may enter and what each may do, and nobody else is told anything."""

from typing import Any

import pytest

from api.routes.broker_auth import SECRET_HEADER
from firmware_protocol.messages import DeviceId
from firmware_protocol.topics import topic_prefix
from gateway.broker_port import Admission
from gateway.broker_verifier import verifier
from gateway.core.device import Status
from tests.unit.api.newcomers import BROKER_SECRET
from tests.unit.api.surface import Surface, serving

OURS = {SECRET_HEADER: BROKER_SECRET.decode(), "Authorization": ""}
KEPT = verifier("right")


def fleet(surface: Surface) -> None:
    surface.newcomers.known = {
        "bike-1": Admission(Status.ACTIVE, KEPT, has_certificate=False),
        "cert-1": Admission(Status.ACTIVE, "", has_certificate=True),
        "both-1": Admission(Status.ACTIVE, KEPT, has_certificate=True),
        "out-1": Admission(Status.SUSPENDED, KEPT, has_certificate=True),
        "undefined": Admission(Status.ACTIVE, "", has_certificate=True),
    }


async def entry(surface: Surface, **said: str) -> Any:
    answer = await surface.http.post("/v1/broker/auth", json=said, headers=OURS)
    assert answer.status_code == 200
    assert answer.json()["is_superuser"] is False
    return answer.json()["result"]


ENTRIES = [
    ({"username": "bike-1", "clientid": "bike-1", "password": "right"}, "allow"),
    ({"username": "bike-1", "clientid": "bike-1", "password": "right", "cert_common_name": ""}, "allow"),
    ({"username": "bike-1", "clientid": "bike-1", "password": "wrong"}, "deny"),
    ({"username": "bike-1", "clientid": "bike-1", "password": ""}, "deny"),
    ({"username": "bike-1", "clientid": "bike-1"}, "deny"),
    ({"username": "bike-1", "clientid": "both-1", "password": "right"}, "deny"),
    ({"username": "bike-1", "clientid": "bike-1", "cert_common_name": "bike-1"}, "deny"),
    ({"username": "cert-1", "clientid": "cert-1", "cert_common_name": "cert-1"}, "allow"),
    ({"username": "cert-1", "clientid": "cert-1", "cert_common_name": "both-1"}, "deny"),
    ({"username": "cert-1", "clientid": "cert-1", "password": ""}, "deny"),
    ({"username": "both-1", "clientid": "both-1", "password": "right"}, "allow"),
    ({"username": "out-1", "clientid": "out-1", "password": "right"}, "deny"),
    ({"username": "out-1", "clientid": "out-1", "cert_common_name": "out-1"}, "deny"),
    ({"username": "undefined", "clientid": "undefined", "cert_common_name": "undefined"}, "deny"),
    ({"username": "nobody", "clientid": "nobody", "password": "right"}, "deny"),
    ({"username": "", "clientid": "", "password": ""}, "deny"),
    ({}, "deny"),
    ({"username": "lk-gateway", "clientid": "lk-gw-07", "password": "x"}, "ignore"),
]


async def test_who_enters_and_who_does_not() -> None:
    async with serving() as surface:
        fleet(surface)
        for said, result in ENTRIES:
            assert await entry(surface, **said) == result, said


async def test_a_device_does_what_is_its_own_and_nothing_else() -> None:
    async with serving() as surface:
        fleet(surface)
        own = topic_prefix(DeviceId("bike-1")).rstrip("/")
        allowed = {("publish", f"{own}/{channel}") for channel in ("hello", "report", "ack")} | {
            ("subscribe", f"{own}/{channel}") for channel in ("welcome", "receipt", "cmd")
        }
        tried = {
            (action, topic)
            for action in ("publish", "subscribe")
            for topic in (
                *(f"{own}/{channel}" for channel in ("hello", "report", "ack", "welcome", "receipt", "cmd")),
                f"{own}/#",
                f"{own}/+",
                f"$share/x/{own}/cmd",
                f"$queue/{own}/cmd",
                f"{own}/cmd/",
                f"/{own}/cmd",
                "lk/v1/+/bike-1/cmd",
                "lk/v1/zz/bike-1/report",
                f"{topic_prefix(DeviceId('both-1')).rstrip('/')}/cmd",
                f"{topic_prefix(DeviceId('both-1')).rstrip('/')}/report",
                "$SYS/#",
                "#",
                "",
            )
        }
        for action, topic in tried:
            body = {"username": "bike-1", "clientid": "bike-1", "action": action, "topic": topic}
            answer = await surface.http.post("/v1/broker/acl", json=body, headers=OURS)
            wanted = "allow" if (action, topic) in allowed else "deny"
            assert answer.json() == {"result": wanted}, (action, topic)


@pytest.mark.parametrize(("name", "result"), [("out-1", "deny"), ("nobody", "deny"), ("lk-bridge", "ignore")])
async def test_who_is_not_in_service_has_no_rights(name: str, result: str) -> None:
    async with serving() as surface:
        fleet(surface)
        topic = f"lk/v1/00/{name}/report"
        if result == "deny":
            topic = f"{topic_prefix(DeviceId(name)).rstrip('/')}/report"
        body = {"username": name, "clientid": name, "action": "publish", "topic": topic}
        assert (await surface.http.post("/v1/broker/acl", json=body, headers=OURS)).json() == {
            "result": result
        }


async def test_without_the_secret_nothing_is_said() -> None:
    async with serving() as surface:
        fleet(surface)
        body = {"username": "bike-1", "clientid": "bike-1", "password": "right"}
        for headers in ({}, {SECRET_HEADER: ""}, {SECRET_HEADER: "wrong"}, {SECRET_HEADER: "x" * 10_000}):
            answer = await surface.http.post("/v1/broker/auth", json=body, headers=headers)
            assert answer.status_code == 401, headers
            assert "result" not in answer.json()


async def test_while_the_registry_is_away_the_broker_is_not_told_to_let_in() -> None:
    async with serving() as surface:
        surface.newcomers.is_away = True
        body = {"username": "bike-1", "clientid": "bike-1", "password": "right"}
        answer = await surface.http.post("/v1/broker/auth", json=body, headers=OURS)
        assert answer.status_code == 503
