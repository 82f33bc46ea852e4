"""What the fakes of PostgreSQL's ports promise, asked of the fakes and of the stores alike."""

from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from firmware_protocol.messages import DeviceId, Hello
from gateway.core.device import DeviceRecord, Status
from gateway.ports import HistoryBatch, HistoryStore, Leases, QuarantinedFrame, Registry
from gateway.stores.history import PostgresHistory
from gateway.stores.leases import PostgresLeases
from gateway.stores.registry import PostgresRegistry
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.history import FakeHistory
from tests.support.fakes.leases import LEASE_MS, FakeLeases
from tests.support.fakes.registry import FakeRegistry
from tests.support.stored import BIKE, NOW_MS, a_row, ask, doubtful, fresh, register

A, B = DeviceId("bike-a"), DeviceId("bike-b")
BOTH = ["fake", "postgres"]


@pytest.fixture(params=BOTH)
async def history(request: pytest.FixtureRequest) -> AsyncIterator[HistoryStore]:
    if request.param == "fake":
        yield FakeHistory(FakeRegistry())
        return
    store = PostgresHistory(request.getfixturevalue("database"))
    yield store
    await store.close()


@pytest.fixture(params=BOTH)
async def registry(request: pytest.FixtureRequest) -> AsyncIterator[Registry]:
    if request.param == "fake":
        fake = FakeRegistry([BIKE])
        for device_id in (A, B):
            fake.register(device_id, BIKE.model)
        fake.forget()
        yield fake
        return
    register(request.getfixturevalue("database"), A, B)
    store = PostgresRegistry(request.getfixturevalue("database"), FakeClock(NOW_MS))
    await store.open()
    yield store
    await store.close()


class Expiring:
    """Leases, and the way to let all of them run out."""

    def __init__(self, leases: Leases, clock: FakeClock, dsn: str) -> None:
        self.leases = leases
        self._clock = clock
        self._dsn = dsn

    def expire(self) -> None:
        self._clock.advance(ms=LEASE_MS)
        if self._dsn:
            ask(self._dsn, "update lease set expires_at = clock_timestamp() - interval '1 second'")


@pytest.fixture(params=BOTH)
async def expiring(request: pytest.FixtureRequest) -> AsyncIterator[Expiring]:
    clock = FakeClock()
    if request.param == "fake":
        yield Expiring(FakeLeases(clock), clock, "")
        return
    dsn = request.getfixturevalue("database")
    store = PostgresLeases(dsn)
    yield Expiring(store, clock, dsn)
    await store.close()


async def test_every_row_is_stored_once_however_it_comes(history: HistoryStore) -> None:
    assert await history.append(fresh(a_row(1), a_row(2))) == await history.append(fresh(a_row(3)))
    again = await history.append(fresh(a_row(2), a_row(4)))
    assert (again.doubled, again.stamp_reused) == (1, frozenset())
    staged = await history.append(doubtful(a_row(1), a_row(5), a_row(5)))
    assert (staged.doubled, staged.stamp_reused) == (2, frozenset())
    assert (await history.append(doubtful(*(a_row(seq) for seq in range(1, 6))))).doubled == 5


async def test_a_stamp_with_another_frame_is_reused_and_the_first_stays(history: HistoryStore) -> None:
    row = a_row(1)
    await history.append(fresh(row))
    other = structs.replace(row, frame=b"another")
    appended = await history.append(doubtful(other, a_row(2)))
    assert appended.stamp_reused == {(1, row.boot, 1)}
    assert (await history.append(doubtful(row))).doubled == 1
    both = await history.append(HistoryBatch([a_row(9)], [structs.replace(a_row(9), frame=b"another")]))
    assert both.stamp_reused == {(1, row.boot, 9)}


async def test_a_batch_of_quarantine_alone_is_a_batch(history: HistoryStore) -> None:
    frame = QuarantinedFrame("x", "lk/v1/00/x/report", "unknown_device", "not registered", NOW_MS, b"frame")
    appended = await history.append(HistoryBatch((), (), [frame]))
    assert (appended.doubled, appended.stamp_reused) == (0, frozenset())


async def loaded(registry: Registry, device_id: DeviceId = A) -> DeviceRecord:
    return (await registry.load([device_id]))[device_id]


async def test_who_was_loaded_is_known(registry: Registry) -> None:
    assert registry.known(A) is None
    found = await registry.load([A, DeviceId("nobody")])
    assert list(found) == [A]
    assert registry.known(A) == found[A]
    assert (found[A].status, found[A].boot, found[A].power_on_id) == (Status.ACTIVE, 0, None)
    assert registry.model(BIKE.model) == BIKE
    with pytest.raises(KeyError):
        registry.model("none")


async def test_a_power_on_has_one_boot_number_and_the_next_a_higher_one(registry: Registry) -> None:
    boots: list[int] = []
    for power_on_id, now_ms in ((2**64 - 1, NOW_MS), (2**64 - 1, NOW_MS + 5_000), (7, NOW_MS + 9_000)):
        hello = Hello(power_on_id, BIKE.model)
        record = (await registry.give_boots([(await loaded(registry), hello)], now_ms))[A]
        assert record.power_on_id == power_on_id
        assert registry.known(A) == record
        boots.append(record.boot)
    assert boots == [NOW_MS // 1000, NOW_MS // 1000, NOW_MS // 1000 + 9]
    device_no = (await loaded(registry)).device_no
    other_no = (await loaded(registry, B)).device_no
    pairs = [(device_no, boots[0]), (device_no, boots[2]), (device_no, 5), (other_no, boots[0])]
    assert await registry.boots_issued(pairs) == {(device_no, boots[0]), (device_no, boots[2])}


async def test_a_clock_that_went_back_gives_no_boot_number_twice(registry: Registry) -> None:
    boots: list[int] = []
    for power_on_id, now_ms in ((1, NOW_MS), (2, NOW_MS - 3_600_000)):
        hello = Hello(power_on_id, BIKE.model)
        boots.append((await registry.give_boots([(await loaded(registry), hello)], now_ms))[A].boot)
    assert boots == [NOW_MS // 1000, NOW_MS // 1000 + 1]


async def test_a_used_device_is_given_another_public_id_and_marker_once(registry: Registry) -> None:
    before, other = await loaded(registry), await loaded(registry, B)
    assert before.public_id_no == 1
    after = (await registry.give_public_ids({A: 1}))[A]
    assert after.public_id != before.public_id
    assert after.marker != before.marker
    drawn = {"public_id": before.public_id, "marker": before.marker, "public_id_no": 1}
    assert structs.replace(after, **drawn) == before
    assert after.public_id_no == 2
    assert registry.known(A) == await loaded(registry) == after
    # Whoever did not hear that it was done asks again for the same, and hears what came of it.
    assert (await registry.give_public_ids({A: 1}))[A] == after
    assert (await registry.give_public_ids({A: 2}))[A].public_id_no == 3
    assert await loaded(registry, B) == other
    assert await registry.give_public_ids({DeviceId("nobody"): 1}) == {}


async def test_strangers_are_registered_when_their_model_allows_it(registry: Registry) -> None:
    record = await registry.register_unknown(DeviceId("bike-new"), BIKE.model)
    assert record is not None
    assert (record.model, record.status) == (BIKE.model, Status.ACTIVE)
    assert await loaded(registry, DeviceId("bike-new")) == record
    assert await registry.register_unknown(DeviceId("bike-newer"), "none") is None


async def test_a_lane_has_one_owner_until_it_expires_or_is_released(expiring: Expiring) -> None:
    leases = expiring.leases
    first = await leases.take("a", [3, 4])
    assert first == {3: 1, 4: 1}
    assert await leases.take("b", [3, 4]) == {}
    again = await leases.take("a", [3])
    assert again == {3: 2}
    assert await leases.renew("a", first) == {4}
    expiring.expire()
    assert await leases.take("b", [3]) == {3: 3}
    assert await leases.renew("a", again) == frozenset()
    await leases.release("b", {3: 3})
    assert await leases.take("a", [3]) == {3: 4}
