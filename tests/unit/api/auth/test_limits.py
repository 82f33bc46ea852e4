"""Who asks too often waits, and nobody else does; a crawl gets no more than is promised."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count

import pytest
from fastapi import Request
from msgspec import structs

from api.auth.doors import Doors, doors_of
from api.auth.limits import LIMITS, MAX_NEARBY_FOR_RIDERS, By, Limiter
from api.auth.principal import Principal, Role
from api.problems import Problem
from gateway.ports import StoreUnavailable
from gateway.rates import Bucket, LocalRateLimits
from tests.support.fakes.clock import FakeClock
from tests.unit.api.live.entries import entry
from tests.unit.api.surface import Surface, serving

NEARBY = "/v1/nearby?lat=31.2304&lon=121.4737&radius_m=10000&limit=200"
MINUTES = 10


async def test_a_crawl_of_ten_minutes_gets_sixty_answers_a_minute_of_fifty_devices_without_ids() -> None:
    async with serving() as surface:
        for number in range(80):
            await surface.put(structs.replace(entry(number), device_id=f"internal-{number}"))
        answers, in_a_minute = 0, []
        for _ in range(MINUTES):
            before = answers
            for _ in range(12):
                for _ in range(6):
                    answer = await surface.http.get(NEARBY, headers=surface.headers("rider"))
                    if answer.status_code == 200:
                        answers += 1
                        assert len(answer.json()["devices"]) <= MAX_NEARBY_FOR_RIDERS
                        assert "internal" not in answer.text
                    else:
                        assert (answer.status_code, int(answer.headers["retry-after"])) >= (429, 1)
                surface.clock.advance(ms=5_000)
            in_a_minute.append(answers - before)
        assert max(in_a_minute) <= 60
        assert answers <= 60 * MINUTES


async def test_one_loud_rider_is_nobody_elses_trouble_and_staff_are_not_counted() -> None:
    async with serving() as surface:
        loud = surface.headers("rider", subject="loud")
        statuses = [(await surface.http.get(NEARBY, headers=loud)).status_code for _ in range(100)]
        assert statuses.count(429) >= 80
        assert (await surface.http.get(NEARBY, headers=surface.headers("rider", subject="calm"))).is_success
        assert all([(await surface.http.get(NEARBY)).is_success for _ in range(70)])


class Away:
    """Redis that does not answer."""

    async def take(self, buckets: Sequence[Bucket]) -> int:
        raise StoreUnavailable("gone")


class Counted:
    """Buckets that count how often they were asked."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._buckets = LocalRateLimits(monotonic_s)
        self.asked = 0

    async def take(self, buckets: Sequence[Bucket]) -> int:
        self.asked += 1
        return await self._buckets.take(buckets)


async def test_who_was_told_to_wait_is_refused_from_memory_until_then_and_no_longer() -> None:
    clock = FakeClock()
    shared = Counted(clock.monotonic_s)
    limiter = Limiter(shared, shared, Doors(), clock.monotonic_s)
    staff, other = Principal(Role.STAFF, "ines", 1), Principal(Role.STAFF, "kim", 1)
    numbers = count()

    async def orders(who: Principal, device: str, times: int) -> int:
        """How many were allowed."""
        allowed = 0
        for _ in range(times):
            key = f"wish-{next(numbers)}"
            with suppress(Problem):
                await limiter.order_allowed(who, device, path="/", key=key)
                allowed += 1
        return allowed

    assert await orders(staff, "bike-1", 50) == LIMITS["commands", "device"].at_once
    asked = shared.asked
    assert await orders(staff, "bike-1", 50) == 0
    assert shared.asked == asked
    assert await orders(other, "bike-2", 1) == 1
    clock.advance(ms=1_500)
    assert await orders(staff, "bike-1", 5) == 1


async def test_a_wish_that_was_refused_is_no_repetition_when_it_is_asked_again() -> None:
    """Each key twice would have been a way around the limit."""
    clock = FakeClock()
    local = LocalRateLimits(clock.monotonic_s)
    limiter = Limiter(local, local, Doors(), clock.monotonic_s)
    staff = Principal(Role.STAFF, "ines", 1)
    most = LIMITS["commands", "device"].at_once
    for number in range(most):
        await limiter.order_allowed(staff, "bike-1", path="/", key=f"wish-{number}")
    for _ in range(3):
        with pytest.raises(Problem):
            await limiter.order_allowed(staff, "bike-1", path="/", key="one too many")
    await limiter.order_allowed(staff, "bike-1", path="/", key="wish-0")


async def test_without_redis_each_process_counts_for_itself() -> None:
    limiter = Limiter(Away(), LocalRateLimits(lambda: 0.0), Doors(), lambda: 0.0)
    rider = Principal(Role.RIDER, "r", 1)
    for _ in range(LIMITS["nearby", "principal"].at_once):
        await limiter.allow_principal("nearby", rider)
    with pytest.raises(Problem) as refused:
        await limiter.allow_principal("nearby", rider)
    assert (refused.value.status, refused.value.retry_after_s) == (429, 2)


async def test_orders_are_counted_per_person_and_per_device() -> None:
    limiter = Limiter(LocalRateLimits(lambda: 0.0), LocalRateLimits(lambda: 0.0), Doors(), lambda: 0.0)
    outcomes = await asyncio.gather(
        *(
            limiter.allow("commands", {"principal": "1:service:x", "device": "1:d1"}, Role.SERVICE)
            for _ in range(50)
        ),
        return_exceptions=True,
    )
    assert outcomes.count(None) == LIMITS["commands", "device"].at_once
    await limiter.allow("commands", {"principal": "1:service:x", "device": "1:d2"}, Role.SERVICE)
    for role in (Role.STAFF, Role.OPERATOR_ADMIN):
        person: dict[By, str] = {"principal": f"1:{role}:a"}
        for number in range(LIMITS["commands", "principal"].at_once):
            await limiter.allow("commands", {**person, "device": f"1:{role}-{number}"}, role)
        with pytest.raises(Problem):
            await limiter.allow("commands", {**person, "device": f"1:{role}-other"}, role)


async def test_a_wish_that_is_repeated_under_its_key_is_counted_once() -> None:
    async with serving() as surface:
        url = "/v1/devices/nobody-has-it/commands"
        service = surface.headers("service")
        same = [
            await surface.http.post(
                url, json={"kind": "query"}, headers=service | {"Idempotency-Key": "k" * 20}
            )
            for _ in range(LIMITS["commands", "device"].at_once * 2)
        ]
        assert {one.status_code for one in same} == {404}
        others = [
            await surface.http.post(
                url, json={"kind": "query"}, headers=service | {"Idempotency-Key": f"key-{number:09d}"}
            )
            for number in range(LIMITS["commands", "device"].at_once + 4)
        ]
        assert [one.status_code for one in others].count(429) == 5


PROXIED = doors_of("127.0.0.1", hosts=[], origins=[], proxies=["127.0.0.1/32"])


def forwarded(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


async def answers_to_three_too_many(
    surface: Surface, name: str, headers: Callable[[int], dict[str, str]]
) -> Counter[int]:
    """How often each status comes for as many requests as one address may send at once, and three more, each with
    headers of its own."""
    path = {"login": "/v1/login/wechat", "enrol": "/v1/enrol"}[name]
    statuses: Counter[int] = Counter()
    for number in range(LIMITS[name, "address"].at_once + 3):
        answer = await surface.http.post(path, json={"code": "x"}, headers=headers(number))
        statuses[answer.status_code] += 1
    return statuses


async def test_nobody_escapes_by_saying_another_address() -> None:
    async with serving() as surface:
        answers = await answers_to_three_too_many(surface, "login", lambda n: forwarded(f"10.1.1.{n}"))
        assert answers[429] == 3


async def test_behind_a_proxy_of_ours_each_address_counts_for_itself() -> None:
    async with serving(doors=PROXIED) as surface:
        answers = await answers_to_three_too_many(surface, "login", lambda n: forwarded(f"10.1.1.{n}"))
        assert set(answers) == {404}


@pytest.mark.parametrize("name", ["login", "enrol"])
async def test_nobody_escapes_by_an_idempotency_key(name: str) -> None:
    """Where nobody says who they are it would free everybody, used once by anybody."""
    async with serving() as surface:
        answers = await answers_to_three_too_many(surface, name, lambda _: {"Idempotency-Key": "x" * 20})
        assert answers[429] == 3


async def test_wishes_that_come_twice_at_once_are_counted_as_often_as_they_come() -> None:
    """The twin comes while the first one is being counted."""

    class Slow(LocalRateLimits):
        async def take(self, buckets: Sequence[Bucket]) -> int:
            await asyncio.sleep(0)
            return await super().take(buckets)

    limiter = Limiter(Slow(lambda: 0.0), Slow(lambda: 0.0), Doors(), lambda: 0.0)
    who: dict[By, str] = {"principal": "1:service:x", "device": "1:d1"}
    outcomes = await asyncio.gather(
        *(
            limiter.allow_wish("commands", who, Role.SERVICE, path="/", key=f"wish-{number // 2}")
            for number in range(200)
        ),
        return_exceptions=True,
    )
    assert outcomes.count(None) == LIMITS["commands", "device"].at_once


async def test_nobody_escapes_by_drawing_another_address_of_their_own_network() -> None:
    async with serving(doors=PROXIED) as surface:
        answers = await answers_to_three_too_many(
            surface, "login", lambda n: forwarded(f"2001:db8:1:2::{n:x}")
        )
        assert answers[429] == 3


def test_a_line_of_forwarded_addresses_before_the_one_of_our_proxy_is_not_believed() -> None:
    """HAProxy's `option forwardfor` adds a line of its own after whatever the client said."""
    doors = doors_of("127.0.0.1", hosts=[], origins=[], proxies=["10.0.0.1/32"])
    limiter = Limiter(Away(), Away(), doors, lambda: 0.0)

    def address(*lines: bytes) -> str:
        headers = [(b"x-forwarded-for", line) for line in lines]
        return limiter.address(Request({"type": "http", "client": ("10.0.0.1", 1), "headers": headers}))

    assert address(b"6.6.6.6", b"203.0.113.9") == "203.0.113.9"
    assert address(b"6.6.6.6, 203.0.113.9", b"10.0.0.1") == "203.0.113.9"
    assert address() == "10.0.0.1"
