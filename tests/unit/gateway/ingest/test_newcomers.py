"""A model that registers whoever says hello registers only so many in an hour."""

from firmware_protocol.messages import DeviceId, Hello
from firmware_protocol.topics import shard_of
from gateway.ingest.newcomers import HOUR_MS, Newcomers
from gateway.ingest.take_hellos import HelloPorts, take_hellos
from gateway.ports import ArrivedHello, Delivery
from tests.support.fakes.counters import FakeCounters
from tests.support.fakes.gateway import FakeGateway
from tests.support.fakes.samples import BOOT_MS


def test_each_model_has_its_own_hour_and_the_next_begins_anew() -> None:
    counters = FakeCounters()
    newcomers = Newcomers(2, counters)
    for _ in range(2):
        assert newcomers.may_register("a", 0)
        newcomers.registered("a")
    assert not newcomers.may_register("a", HOUR_MS - 1)
    assert newcomers.may_register("b", HOUR_MS - 1)
    assert newcomers.may_register("a", HOUR_MS)
    assert counters.counts["newcomers_refused"] == 1


def test_without_a_bound_everybody_may() -> None:
    newcomers = Newcomers(0, FakeCounters())
    for _ in range(2_000):
        assert newcomers.may_register("a", 0)
        newcomers.registered("a")


def said(name: str, model: str) -> ArrivedHello:
    device_id = DeviceId(name)
    return ArrivedHello(shard_of(device_id), device_id, Hello(1, model), BOOT_MS, Delivery("now", 1, 1))


async def test_hellos_beyond_the_bound_are_acknowledged_counted_and_register_nobody() -> None:
    gateway = FakeGateway()
    ports = HelloPorts(
        gateway.registry, gateway.link, gateway.counters, newcomers=Newcomers(3, gateway.counters)
    )
    # A model that does not exist uses up nobody's room.
    strangers = [said(f"s-{n}", "none") for n in range(20)]
    guests = [said(f"g-{n}", "guest") for n in range(10)]
    await take_hellos([*strangers, *guests], ports)
    assert {device.device_id for device in gateway.registry.all()} == {"g-0", "g-1", "g-2"}
    assert gateway.counters.counts["newcomers_refused"] == 7
    assert len(gateway.acknowledged()) == 30
    # Who is registered is heard for ever.
    await take_hellos([said("g-1", "guest")], ports)
    assert gateway.counters.counts["welcomed"] == 4
