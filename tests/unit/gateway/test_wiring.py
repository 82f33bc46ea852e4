"""The parts of a gateway, before anything runs."""

from firmware_protocol.messages import DeviceId, Hello
from gateway import wiring
from gateway.ports import ArrivedHello, Delivery
from gateway.telemetry import REGISTRY
from tests.support.lonely_gateway import lonely_gateway


async def test_a_gateway_without_lanes_is_not_ready_and_says_so() -> None:
    gateway = lonely_gateway()
    assert gateway.not_ready() == ["lanes not held: 03 07"]
    gateway.keeper.held.update({3: 1})
    gateway.keeper.parked.add(7)
    assert gateway.not_ready() == [
        "lane 07 parked: another client keeps taking it",
        "lk-gw-03: connecting",
        "lk-gw-03-now: connecting",
    ]


async def test_lanes_that_come_are_opened_and_lanes_that_go_are_left() -> None:
    gateway = lonely_gateway()
    gateway.lanes_taken(frozenset({3}))
    assert gateway.lanes_to_open.get_nowait() == 3
    assert gateway.sessions.reports[3].wanted.is_set()
    assert not gateway.sessions.reports[7].wanted.is_set()
    gateway.lanes_lost(frozenset({3}))
    assert not gateway.sessions.nows[3].wanted.is_set()


async def test_the_valve_stops_reports_and_never_hellos() -> None:
    gateway = lonely_gateway()
    gateway.shut()
    assert not gateway.sessions.reports[3].reading
    assert gateway.sessions.nows[3].reading
    gateway.open()
    assert gateway.sessions.reports[3].reading


async def test_a_flood_of_hellos_is_bounded() -> None:
    gateway = lonely_gateway()
    hello = ArrivedHello(3, DeviceId("bike-1"), Hello(1, "m"), 0, Delivery("lk-gw-03-now", 1, 1))
    before = REGISTRY.get_sample_value("latchkey_dropped_hellos_total") or 0.0
    gateway.took_hellos([hello] * (wiring.MAX_PENDING_HELLOS + 1))
    gateway.took_hellos([hello])
    assert gateway.hellos.pending == wiring.MAX_PENDING_HELLOS + 1
    assert REGISTRY.get_sample_value("latchkey_dropped_hellos_total") == before + 1
