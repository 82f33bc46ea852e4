"""Orders over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from msgspec import structs

from firmware_protocol.codec import Encoding, encode_report
from firmware_protocol.messages import Bolt, Lock
from gateway.core.command import Phase
from gateway.ports import StoreUnavailable
from gateway.reading import KnownDevice
from tests.support.fakes.samples import bike_report
from tests.unit.api.live.entries import entry
from tests.unit.api.surface import NOW_MS, Surface, known, serving

DEVICE = "d1"
ORDER = f"/v1/devices/{DEVICE}/commands"


@asynccontextmanager
async def a_bike(*, bolt: Bolt = Bolt.CLOSED, battery_pct: int = 80) -> AsyncIterator[Surface]:
    """A surface with one bike that was heard a moment ago and can be told what to do."""
    async with serving() as surface:
        one = known(DEVICE)
        surface.truth.registered = [KnownDevice(structs.replace(one.record, boot=7), one.model)]
        surface.keys.give(one.record.device_no, 1)
        report = structs.replace(bike_report(1, battery_pct=battery_pct), lock=Lock(bolt))
        await surface.put(entry(1), frame=encode_report(report, encoding=Encoding.CBOR))
        yield surface


async def order(surface: Surface, key: str = "", **wish: Any) -> httpx.Response:
    """An unlock unless told."""
    headers = {"Idempotency-Key": key or str(uuid4())}
    return await surface.http.post(ORDER, json={"kind": "unlock", **wish}, headers=headers)


async def test_an_order_is_a_command_with_an_end_and_a_place() -> None:
    async with a_bike() as surface:
        answer = await order(surface, ttl_s=8)
        command = answer.json()
        assert (answer.status_code, answer.headers["location"]) == (201, f"/v1/commands/{command['id']}")
        assert (command["kind"], command["safety"], command["phase"]) == ("unlock", "one_shot", "issued")
        assert (command["settled"], command["requested_by"]) == (False, "operator_admin:someone")
        assert (await surface.http.get(answer.headers["location"])).json() == command


async def test_the_same_key_is_the_same_command_and_says_so() -> None:
    async with a_bike() as surface:
        first, again = await order(surface, "key-0001"), await order(surface, "key-0001")
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (
            False,
            "true",
        )
        assert len(surface.desk.rows) == 1


async def test_the_same_key_with_another_wish_is_refused() -> None:
    async with a_bike() as surface:
        first = await order(surface, "key-0001")
        other = await order(surface, "key-0001", ttl_s=20)
        assert (other.status_code, other.json()["type"]) == (409, "urn:latchkey:problem:key_reused")
        assert other.json()["command_id"] == first.json()["id"]


async def test_a_slot_with_an_unsettled_one_shot_takes_no_other() -> None:
    async with a_bike() as surface:
        first = await order(surface)
        other = await order(surface)
        assert (other.status_code, other.json()["type"]) == (409, "urn:latchkey:problem:slot_busy")
        assert (other.json()["command_id"], other.json()["phase"]) == (first.json()["id"], "issued")


@pytest.mark.parametrize(
    ("state", "wish", "reasons"),
    [
        ({"bolt": Bolt.OPEN}, {}, ["already_open"]),
        ({"battery_pct": 3}, {}, ["low_battery"]),
        ({}, {"kind": "eject", "slot": 1}, ["unsupported"]),
        ({}, {"slot": 4}, ["no_such_slot"]),
    ],
)
async def test_a_pointless_or_unsafe_order_is_refused_with_every_reason(
    state: dict[str, Any], wish: dict[str, Any], reasons: list[str]
) -> None:
    async with a_bike(**state) as surface:
        answer = await order(surface, **wish)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:latchkey:problem:command_refused")
        assert [one["reason"] for one in answer.json()["reasons"]] == reasons
        assert all(one["detail"] in answer.json()["detail"] for one in answer.json()["reasons"])
        assert not surface.desk.rows


async def test_a_silent_device_is_sent_nothing() -> None:
    async with a_bike() as surface:
        surface.clock.advance(ms=121_000)
        answer = await order(surface)
        assert [one["reason"] for one in answer.json()["reasons"]] == ["offline"]


async def test_staff_may_pass_over_a_low_battery_when_it_says_why() -> None:
    async with a_bike(battery_pct=3) as surface:
        without = await order(surface, override=["low_battery"])
        assert (without.status_code, without.json()["fields"][0]["field"]) == (422, "why")
        assert (await order(surface, override=["low_battery"], why="to the workshop")).status_code == 201


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"kind": "unlock"}, {}),
        ({"kind": "unlock"}, {"Idempotency-Key": "short"}),
        ({"kind": "explode"}, {"Idempotency-Key": "key-0001"}),
        ({"kind": "unlock", "ttl_s": 61}, {"Idempotency-Key": "key-0001"}),
        ({"kind": "unlock", "ttl_s": "ten"}, {"Idempotency-Key": "key-0001"}),
        ({"kind": "unlock", "more": 1}, {"Idempotency-Key": "key-0001"}),
        ({"kind": "unlock", "settings": {"a": 1}}, {"Idempotency-Key": "key-0001"}),
        ({"kind": "configure", "settings": {"UPPER": 1}}, {"Idempotency-Key": "key-0001"}),
        ({"kind": "unlock", "why": "a\x00b"}, {"Idempotency-Key": "key-0001"}),
    ],
)
async def test_what_is_no_wish_is_a_bad_request(body: dict[str, Any], headers: dict[str, str]) -> None:
    async with a_bike() as surface:
        answer = await surface.http.post(ORDER, json=body, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:latchkey:problem:bad_request")
        assert not surface.desk.rows


async def test_redis_away_is_no_reason_not_to_open() -> None:
    async with a_bike() as surface:
        state = await surface.world().states.get(surface.truth.registered[0].record.device_id)
        assert state is not None
        surface.truth.states[surface.truth.registered[0].record.device_no] = state
        surface.interruptions.raise_always("live_states.load", lambda: StoreUnavailable("gone"))
        assert (await order(surface)).status_code == 201


async def test_an_issued_command_can_be_taken_back_and_a_sent_one_cannot() -> None:
    async with a_bike() as surface:
        issued = (await order(surface)).json()["id"]
        back = await surface.http.post(f"/v1/commands/{issued}/cancel", json={"why": "changed their mind"})
        assert (back.status_code, back.json()["phase"], back.json()["settled"]) == (200, "cancelled", True)
        sent = (await order(surface)).json()["id"]
        put_in(surface, sent, Phase.SENT)
        late = await surface.http.post(f"/v1/commands/{sent}/cancel", json={})
        assert (late.status_code, late.json()["type"]) == (409, "urn:latchkey:problem:not_cancelled")
        assert late.json()["phase"] == "sent"


async def test_taking_back_needs_no_body() -> None:
    async with a_bike() as surface:
        issued = (await order(surface)).json()["id"]
        assert (await surface.http.post(f"/v1/commands/{issued}/cancel")).json()["phase"] == "cancelled"


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"content-type": "application/json"}, "no JSON (character 1)"),
        ({}, "send Content-Type: application/json"),
    ],
)
async def test_a_body_that_cannot_be_read_says_what_to_do(headers: dict[str, str], said: str) -> None:
    async with a_bike() as surface:
        headers |= {"idempotency-key": "a", "authorization": surface.http.headers["authorization"]}
        refused = await surface.http.post(ORDER, content=b"{kind", headers=headers)
    assert refused.status_code == 422
    assert said in refused.json()["detail"]


async def test_only_silence_can_be_given_up() -> None:
    async with a_bike() as surface:
        command = (await order(surface)).json()["id"]
        early = await surface.http.post(f"/v1/commands/{command}/abandon", json={})
        assert (early.status_code, early.json()["type"]) == (409, "urn:latchkey:problem:not_abandoned")
        put_in(surface, command, Phase.UNCONFIRMED)
        done = await surface.http.post(f"/v1/commands/{command}/abandon", json={"why": "looked at it"})
        assert (done.status_code, done.json()["phase"]) == (200, "abandoned")


async def test_what_was_wished_and_what_people_ended_is_counted_where_prometheus_looks() -> None:
    async with a_bike() as surface:
        first = (await order(surface)).json()["id"]
        for _ in range(2):
            await surface.http.post(f"/v1/commands/{first}/cancel", json={})
        second = (await order(surface)).json()["id"]
        put_in(surface, second, Phase.UNCONFIRMED)
        await surface.http.post(f"/v1/commands/{second}/abandon", json={})
        lines = (await surface.http.get("/metrics")).text.splitlines()
    assert 'latchkey_api_wishes_total{outcome="issued"} 2.0' in lines
    assert 'latchkey_api_commands_ended_total{phase="cancelled"} 1.0' in lines
    assert 'latchkey_api_commands_ended_total{phase="abandoned"} 1.0' in lines


async def test_the_story_begins_with_the_request() -> None:
    async with a_bike() as surface:
        command = (await order(surface)).json()["id"]
        story = (await surface.http.get(f"/v1/commands/{command}/timeline")).json()
        assert story["command_id"] == command
        assert [line["what"] for line in story["lines"]] == ["requested", "issued"]
        assert story["lines"][0]["after_ms"] == 0


async def test_commands_of_a_device_are_walked_newest_first() -> None:
    async with a_bike() as surface:
        made = []
        for _ in range(5):
            made.append((await order(surface)).json()["id"])
            await surface.http.post(f"/v1/commands/{made[-1]}/cancel", json={})
        seen: list[str] = []
        before: dict[str, str] = {}
        while True:
            page = (await surface.http.get(ORDER, params={"limit": "2", **before})).json()
            seen += [one["id"] for one in page["commands"]]
            if page["next"] is None:
                break
            before = {"before": page["next"]}
        assert seen == made[::-1]


async def test_another_operator_neither_orders_nor_sees_nor_takes_back() -> None:
    async with a_bike() as surface:
        command = (await order(surface)).json()["id"]
        foreign = surface.headers("operator_admin", operator_id=2)
        ways = [
            ("GET", f"/v1/commands/{command}", None),
            ("GET", f"/v1/commands/{command}/timeline", None),
            ("GET", ORDER, None),
            ("POST", f"/v1/commands/{command}/cancel", {}),
            ("POST", f"/v1/commands/{command}/abandon", {}),
            ("POST", ORDER, {"kind": "unlock"}),
        ]
        for method, path, body in ways:
            headers = {**foreign, "Idempotency-Key": "key-0001"}
            answer = await surface.http.request(method, path, json=body, headers=headers)
            assert answer.status_code == 404, path
        assert surface.desk.rows[UUID(command)].phase is Phase.ISSUED


async def test_riders_order_nothing() -> None:
    async with a_bike() as surface:
        headers = {**surface.headers("rider"), "Idempotency-Key": "key-0001"}
        answer = await surface.http.post(ORDER, json={"kind": "unlock"}, headers=headers)
        assert answer.status_code == 403


async def test_an_impatient_person_is_slowed_down() -> None:
    async with a_bike() as surface:
        statuses = [(await order(surface)).status_code for _ in range(21)]
        assert statuses.count(429) == 1
        assert (await order(surface)).headers["retry-after"]


async def test_an_unknown_command_is_not_found() -> None:
    async with a_bike() as surface:
        assert (await surface.http.get(f"/v1/commands/{uuid4()}")).status_code == 404
        assert (await surface.http.get("/v1/commands/seven")).status_code == 422


def put_in(surface: Surface, command_id: str, phase: Phase) -> None:
    """As if the owner of the lane had moved it there."""
    name = UUID(command_id)
    surface.desk.rows[name] = structs.replace(surface.desk.rows[name], phase=phase, sent_ms=NOW_MS)
