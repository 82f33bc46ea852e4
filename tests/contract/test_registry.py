"""What the gateway knows of devices, and which boot numbers it gives."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_protocol.messages import DeviceId, Hello
from gateway.core.device import DeviceRecord, Status
from gateway.ports import Registry
from gateway.stores import registry as of_registry
from gateway.stores.registry import PostgresRegistry
from tests.support.stored import BIKE, CABINET, NOW_MS, ask, register

A, B = DeviceId("bike-a"), DeviceId("bike-b")
NOBODY = DeviceId("nobody")


class StillClock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.s = 1000.0

    def now_ms(self) -> int:
        return NOW_MS

    def monotonic_s(self) -> float:
        return self.s


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def registry(database: str, clock: StillClock) -> AsyncIterator[PostgresRegistry]:
    register(database, A, B)
    register(database, "cabinet-a", model=CABINET)
    store = PostgresRegistry(database, clock)
    await store.open()
    yield store
    await store.close()


async def the(registry: Registry, device_id: DeviceId = A) -> DeviceRecord:
    return (await registry.load([device_id]))[device_id]


async def hello(
    registry: Registry, power_on_id: int, now_ms: int, device_id: DeviceId = A
) -> DeviceRecord | None:
    said = (await the(registry, device_id), Hello(power_on_id, "bike-1"))
    return (await registry.give_boots([said], now_ms)).get(device_id)


async def test_only_what_was_loaded_is_known(registry: PostgresRegistry) -> None:
    assert registry.known(A) is None
    found = await registry.load([A, NOBODY, A])
    assert set(found) == {A}
    assert registry.known(A) == found[A]
    assert (found[A].model, found[A].status, found[A].operator_id, found[A].boot) == (
        "bike-1",
        Status.ACTIVE,
        1,
        0,
    )


async def test_the_time_is_that_of_the_database(registry: PostgresRegistry, database: str) -> None:
    def asked_ms() -> int:
        ((now_ms,),) = ask(database, "select floor(extract(epoch from clock_timestamp()) * 1000)::bigint")
        return int(now_ms)

    before_ms = asked_ms()
    time_ms = await registry.time_ms()
    assert before_ms <= time_ms <= asked_ms() + 1


async def test_models_are_known_from_the_start(registry: PostgresRegistry) -> None:
    assert registry.model("bike-1") == BIKE
    assert registry.model("cabinet-6") == CABINET
    with pytest.raises(KeyError):
        registry.model("no-such-model")


async def test_an_unknown_device_is_not_asked_for_again_at_once(
    registry: PostgresRegistry, clock: StillClock, database: str
) -> None:
    assert await registry.load([NOBODY]) == {}
    register(database, NOBODY)
    assert await registry.load([NOBODY]) == {}
    clock.s += 5
    assert NOBODY in await registry.load([NOBODY])


async def test_a_new_device_is_heard_after_a_refresh(registry: PostgresRegistry, database: str) -> None:
    assert await registry.load([NOBODY]) == {}
    register(database, NOBODY)
    await registry.refresh()
    assert NOBODY in await registry.load([NOBODY])


async def test_a_suspended_device_is_known_as_such_after_a_refresh(
    registry: PostgresRegistry, database: str
) -> None:
    await registry.load([A, B])
    ask(database, "update device set status = 3 where device_id = %s", [A])
    await registry.refresh()
    assert [known.status for known in map(registry.known, (A, B)) if known] == [
        Status.SUSPENDED,
        Status.ACTIVE,
    ]


async def test_what_one_transaction_changed_is_read_once_however_many_pages_it_takes(
    registry: PostgresRegistry, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_registry, "PAGE", 1)
    monkeypatch.setattr(of_registry, "_CHANGED", of_registry._CHANGED.replace(b"limit 2000", b"limit 1"))
    await registry.load([A, B])
    ask(database, "update device set status = 3")
    await registry.refresh()
    assert [known.status for known in map(registry.known, (A, B)) if known] == [Status.SUSPENDED] * 2
    taken: list[object] = []
    monkeypatch.setattr(registry, "_take_change", taken.append)
    await registry.refresh()
    assert taken == []
    ask(database, "update device set status = 2 where device_id = %s", [A])
    await registry.refresh()
    assert len(taken) == 1


async def test_a_transaction_that_commits_after_later_ones_is_still_heard(
    registry: PostgresRegistry, database: str
) -> None:
    await registry.load([A, B])
    with psycopg.connect(database) as slow:
        slow.execute("update device set status = 3 where device_id = %s", [A])
        ask(database, "update device set status = 3 where device_id = %s", [B])
        await registry.refresh()
        assert (known := registry.known(A)) is not None
        assert known.status is Status.ACTIVE
        slow.commit()
    await registry.refresh()
    assert (known := registry.known(A)) is not None
    assert known.status is Status.SUSPENDED


async def test_a_refresh_does_not_take_back_a_boot(registry: PostgresRegistry, database: str) -> None:
    given_boot = await hello(registry, 5, NOW_MS)
    ask(database, "update device set boot = 0, status = 3 where device_id = %s", [A])
    await registry.refresh()
    known = registry.known(A)
    assert known is not None
    assert given_boot is not None
    assert (known.boot, known.power_on_id, known.status) == (given_boot.boot, 5, Status.SUSPENDED)


async def test_a_power_on_gets_the_unix_second_and_keeps_it(
    registry: PostgresRegistry, database: str
) -> None:
    first = await hello(registry, 2**64 - 1, NOW_MS)
    assert first is not None
    assert (first.boot, first.power_on_id) == (NOW_MS // 1000, 2**64 - 1)
    assert await hello(registry, 2**64 - 1, NOW_MS + 60_000) == first
    assert ask(database, "select count(*) from device_boot") == [(1,)]


async def test_a_restarted_gateway_gives_the_same_boot(registry: PostgresRegistry, database: str) -> None:
    first = await hello(registry, 5, NOW_MS)
    another = PostgresRegistry(database, StillClock())
    await another.open()
    assert await hello(another, 5, NOW_MS + 60_000) == first
    await another.close()


async def test_a_boot_is_above_the_last_even_if_the_clock_went_back(registry: PostgresRegistry) -> None:
    first = await hello(registry, 1, NOW_MS)
    second = await hello(registry, 2, NOW_MS - 3_600_000)
    assert first is not None
    assert second is not None
    assert second.boot == first.boot + 1


async def test_a_device_gets_one_new_boot_a_second(registry: PostgresRegistry) -> None:
    assert await hello(registry, 1, NOW_MS) is not None
    assert await hello(registry, 2, NOW_MS + 999) is None
    assert await hello(registry, 2, NOW_MS + 1000) is not None
    assert await hello(registry, 1, NOW_MS, B) is not None


async def test_a_late_hello_of_an_earlier_power_on_gets_its_own_boot_and_moves_nothing(
    registry: PostgresRegistry,
) -> None:
    first = await hello(registry, 1, NOW_MS)
    second = await hello(registry, 2, NOW_MS + 5000)
    assert await hello(registry, 1, NOW_MS + 10_000) == first
    assert registry.known(A) == second


async def test_of_several_hellos_in_one_batch_the_last_counts(registry: PostgresRegistry) -> None:
    record = await the(registry)
    answer = await registry.give_boots([(record, Hello(n, "bike-1")) for n in (1, 2, 3)], NOW_MS)
    assert answer[A].power_on_id == 3


async def test_issued_boots_are_told_from_invented_ones(registry: PostgresRegistry, database: str) -> None:
    record = await hello(registry, 1, NOW_MS)
    assert record is not None
    pairs = [(record.device_no, record.boot), (record.device_no, record.boot + 1), (99, record.boot)]
    another = PostgresRegistry(database, StillClock())
    for store in (registry, another):
        assert await store.boots_issued(pairs) == {pairs[0]}
    assert await registry.boots_issued([]) == frozenset()
    await another.close()


async def test_a_storm_of_hellos_is_one_batch(registry: PostgresRegistry, database: str) -> None:
    names = [DeviceId(f"storm-{n:04d}") for n in range(2000)]
    register(database, *names)
    records = await registry.load(names)
    answers = await registry.give_boots([(records[name], Hello(9, "bike-1")) for name in names], NOW_MS)
    assert {record.boot for record in answers.values()} == {NOW_MS // 1000}
    assert len(answers) == len(names)


async def test_gateways_that_answer_the_same_hello_at_once_agree(database: str) -> None:
    register(database, A)
    stores = [PostgresRegistry(database, StillClock()) for _ in range(4)]
    answers = await asyncio.gather(*(hello(store, 7, NOW_MS) for store in stores))
    assert len({answer.boot for answer in answers if answer is not None}) == 1
    assert ask(database, "select count(*) from device_boot") == [(1,)]
    for store in stores:
        await store.close()


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-5000, 20_000)), max_size=12))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_boots_rise_and_a_power_on_has_one(database: str, said: Sequence[tuple[int, int]]) -> None:
    ask(database, "delete from device")
    register(database, A)
    registry = PostgresRegistry(database, StillClock())
    of_power_on: dict[int, int] = {}
    now_ms = NOW_MS
    for power_on_id, later_ms in said:
        now_ms += later_ms
        answer = await hello(registry, power_on_id, now_ms)
        if answer is None:
            continue
        if power_on_id not in of_power_on:
            assert answer.boot > max(of_power_on.values(), default=0)
        assert of_power_on.setdefault(power_on_id, answer.boot) == answer.boot
    await registry.close()


async def test_an_unknown_device_of_an_open_model_is_registered(registry: PostgresRegistry) -> None:
    assert await registry.load([NOBODY]) == {}
    record = await registry.register_unknown(NOBODY, "bike-1")
    assert record is not None
    assert registry.known(NOBODY) == record
    assert await registry.register_unknown(NOBODY, "bike-1") == record


@pytest.mark.parametrize(
    ("name", "model"), [("x", "cabinet-6"), ("x", "no-such"), ("lk-gw", "bike-1"), ("a/b", "bike-1")]
)
async def test_no_other_device_is_registered(registry: PostgresRegistry, name: str, model: str) -> None:
    assert await registry.register_unknown(DeviceId(name), model) is None
    assert await registry.load([DeviceId(name)]) == {}


async def test_changes_are_followed_without_being_asked(
    registry: PostgresRegistry, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support.waiting import until_async

    monkeypatch.setattr("gateway.stores.registry.POLL_S", 0.02)
    await registry.load([A])
    following = asyncio.create_task(registry.follow_changes())
    ask(database, "update device set status = 3 where device_id = %s", [A])
    await until_async(lambda: (known := registry.known(A)) and known.status is Status.SUSPENDED)
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
