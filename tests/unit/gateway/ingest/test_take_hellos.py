"""Hellos get boot numbers and welcomes."""

from collections.abc import Sequence

import pytest
from msgspec import structs

from firmware_protocol.codec import Encoding, decode_welcome
from firmware_protocol.messages import DeviceId, Hello, Welcome
from firmware_protocol.signature import verify_welcome
from firmware_protocol.topics import shard_of
from gateway.core.device import DeviceRecord, Status
from gateway.evidence import NothingOpen
from gateway.ingest.take_hellos import take_hellos
from gateway.ports import ArrivedHello, Delivery, StoreUnavailable
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.device_keys import FakeDeviceKeys
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.samples import BOOT, BOOT_MS

A, B, NEW = DeviceId("bike-a"), DeviceId("bike-b"), DeviceId("guest-a")


def hello(device_id: DeviceId, power_on_id: int, *, model: str = "bike", packet_id: int = 1) -> ArrivedHello:
    said = Hello(power_on_id, model)
    delivery = Delivery("now", 1, packet_id)
    return ArrivedHello(shard_of(device_id), device_id, said, BOOT_MS, delivery, Encoding.CBOR)


@pytest.fixture
def gateway() -> FakeGateway:
    gateway = FakeGateway()
    gateway.register([A, B])
    gateway.clock.advance(ms=60_000)
    return gateway


def welcomes(gateway: FakeGateway) -> list[tuple[str, Welcome]]:
    return [(topic, decode_welcome(payload)) for _, topic, payload in gateway.link.published]


async def test_a_new_power_on_gets_a_higher_boot_and_the_same_one_the_same(gateway: FakeGateway) -> None:
    for power_on_id in (11, 11, 12):
        await take_hellos([hello(A, power_on_id)], gateway.hello_ports)
    now_ms = BOOT_MS + 60_000
    topic = f"lk/v1/{shard_of(A):02x}/{A}/welcome"
    assert welcomes(gateway) == [
        (topic, Welcome(11, BOOT + 60, now_ms)),
        (topic, Welcome(11, BOOT + 60, now_ms)),
        (topic, Welcome(12, BOOT + 61, now_ms)),
    ]
    assert gateway.counters.counts["welcomed"] == 3


async def test_a_welcome_says_which_hello_it_answers(gateway: FakeGateway) -> None:
    said = hello(A, 11)
    timed = structs.replace(said, hello=structs.replace(said.hello, hello_sent_ms=-7))
    await take_hellos([said, timed], gateway.hello_ports)
    assert [welcome.hello_sent_ms for _, welcome in welcomes(gateway)] == [-7]


async def test_a_welcome_tells_the_time_of_the_database(gateway: FakeGateway) -> None:
    # By the clock of this machine the device would obey commands five seconds too late.
    gateway.registry.clock = FakeClock(gateway.clock.now_ms() + 5_000)
    await take_hellos([hello(A, 11)], gateway.hello_ports)
    assert welcomes(gateway)[0][1] == Welcome(11, BOOT + 65, BOOT_MS + 65_000)


async def test_boots_are_committed_before_anybody_hears_of_them(gateway: FakeGateway) -> None:
    await take_hellos([hello(A, 11), hello(B, 12, packet_id=2)], gateway.hello_ports)
    order = ["registry.give_boots:done", "link.acknowledge", "link.publish", "link.publish"]
    assert [point for point in gateway.interruptions.passed if point in order] == order
    assert gateway.acknowledged() == [1, 2]


async def test_without_the_registry_nothing_is_acknowledged(gateway: FakeGateway) -> None:
    gateway.interruptions.raise_always("registry.give_boots", lambda: StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await take_hellos([hello(A, 11)], gateway.hello_ports)
    assert gateway.link.acknowledged == []
    assert gateway.link.published == []


async def test_a_welcome_speaks_the_encoding_of_the_hello(gateway: FakeGateway) -> None:
    await take_hellos([structs.replace(hello(A, 11), encoding=Encoding.JSON)], gateway.hello_ports)
    await take_hellos([hello(B, 11)], gateway.hello_ports)
    assert [payload[:1] == b"{" for _, _, payload in gateway.link.published] == [True, False]


async def test_of_several_hellos_the_last_counts(gateway: FakeGateway) -> None:
    await take_hellos([hello(A, 11), hello(A, 12, packet_id=2)], gateway.hello_ports)
    assert [welcome.power_on_id for _, welcome in welcomes(gateway)] == [12]
    assert gateway.acknowledged() == [1, 2]


async def test_a_boot_of_another_power_on_is_not_told(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a device says hello more often than it may."""

    async def unchanged(pairs: object, now_ms: int) -> dict[DeviceId, object]:
        return {A: gateway.registry.known(A)}

    monkeypatch.setattr(gateway.registry, "give_boots", unchanged)
    await take_hellos([hello(A, 11)], gateway.hello_ports)
    assert gateway.link.published == []
    assert gateway.acknowledged() == [1]


async def test_strangers_are_registered_only_when_their_model_allows_it(gateway: FakeGateway) -> None:
    batch = [hello(NEW, 1, model="guest"), hello(DeviceId("x"), 1), hello(DeviceId("y"), 1, model="none")]
    await take_hellos(batch, gateway.hello_ports)
    assert [topic.split("/")[3] for topic, _ in welcomes(gateway)] == [NEW]
    assert gateway.registry.known(NEW) is not None
    assert gateway.counters.refusals == {"hello": 2}
    assert len(gateway.acknowledged()) == 3


async def test_suspended_devices_and_foreign_shards_get_no_welcome(gateway: FakeGateway) -> None:
    gateway.registry.register(DeviceId("bike-c"), "bike", status=Status.SUSPENDED)
    wrong = [
        structs.replace(one, lane=(one.lane + 1) % 16) for one in (hello(A, 1), hello(NEW, 1, model="guest"))
    ]
    await take_hellos([hello(DeviceId("bike-c"), 1), *wrong], gateway.hello_ports)
    assert gateway.link.published == []
    assert gateway.registry.known(NEW) is None


async def test_a_device_with_a_key_gets_a_sealed_welcome_after_its_reboot_was_settled(
    gateway: FakeGateway,
) -> None:
    keys = FakeDeviceKeys(gateway.interruptions)
    (key,) = keys.give(1, 1)
    booted: list[tuple[DeviceId, int]] = []

    class Boots(NothingOpen):
        async def booted(self, devices: Sequence[DeviceRecord], at_ms: int) -> None:
            assert gateway.acknowledged() == []
            booted.extend((one.device_id, one.boot) for one in devices)

    ports = structs.replace(gateway.hello_ports, keys=keys, boots=Boots())
    await take_hellos([hello(A, 11), hello(B, 12, packet_id=2)], ports)
    (_, _, sealed), (_, _, plain) = gateway.link.published
    assert verify_welcome(sealed, device_id=A, keys=[key]).boot == BOOT + 60
    assert decode_welcome(plain).boot == BOOT + 60
    assert booted == [(A, BOOT + 60), (B, BOOT + 60)]
