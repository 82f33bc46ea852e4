"""The parts of a gateway, before anything runs."""

import pytest

from firmware_protocol.messages import DeviceId, Hello, Report
from gateway import wiring
from gateway.command_ports import ArrivedAck
from gateway.ports import Arrived, ArrivedHello, Delivery
from gateway.telemetry import REGISTRY
from tests.support.fakes.command_gateway import CommandGateway
from tests.support.fakes.samples import arrived, bike_report
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
    # Not before it is known what their reports may settle.
    assert not gateway.sessions.reports[3].wanted.is_set()
    gateway.commands.dispatch.opened(frozenset({3}))
    assert gateway.sessions.reports[3].wanted.is_set()
    assert not gateway.sessions.reports[7].wanted.is_set()
    gateway.lanes_lost(frozenset({3}))
    assert not gateway.sessions.nows[3].wanted.is_set()


async def test_silence_is_noticed_in_lanes_that_are_ours_and_in_no_others() -> None:
    gateway, bike = lonely_gateway(), DeviceId("bike-1")
    gateway.lanes_taken(frozenset({3}))
    gateway.lanes_lost(frozenset({3}))
    gateway.silence.watch(3, bike, 0)
    assert not gateway.silence.is_watched(3, bike)
    gateway.lanes_taken(frozenset({3}))
    gateway.silence.watch(3, bike, 0)
    assert gateway.silence.is_watched(3, bike)


async def test_the_valve_stops_reports_and_never_hellos() -> None:
    gateway = lonely_gateway()
    gateway.shut()
    assert not gateway.sessions.reports[3].reading
    assert gateway.sessions.nows[3].reading
    gateway.open()
    assert gateway.sessions.reports[3].reading


async def test_who_waits_at_a_lock_is_heard_before_the_batch_and_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = lonely_gateway()
    commands = CommandGateway()
    sent = await commands.sent()
    gateway.commands.open.learn(sent)
    monkeypatch.setattr(gateway.stores.registry, "known", commands.registry.known)
    let_in: list[str] = []
    # A frame that leaves lets in whatever its device answers.
    assert gateway.commands.dispatch.published == gateway.reports.let_in
    monkeypatch.setattr(gateway.reports, "let_in", lambda: let_in.append("let in"))
    for device_id in (sent.device_id, DeviceId("stranger")):
        gateway.took_reports([arrived(device_id, bike_report(1))], 100)
        gateway.took_acks([ArrivedAck(3, device_id, b"", "", 0, Delivery("lk-gw-03-now", 1, 1))])
    assert (gateway.at_once.waiting, gateway.reports.pending, let_in) == (1, 2, ["let in"])


async def test_a_flood_of_hellos_is_bounded() -> None:
    gateway = lonely_gateway()
    hello = ArrivedHello(3, DeviceId("bike-1"), Hello(1, "m"), 0, Delivery("lk-gw-03-now", 1, 1))
    before = REGISTRY.get_sample_value("latchkey_dropped_hellos_total") or 0.0
    gateway.took_hellos([hello] * (wiring.MAX_PENDING_HELLOS + 1))
    gateway.took_hellos([hello])
    assert gateway.hellos.pending == wiring.MAX_PENDING_HELLOS + 1
    assert REGISTRY.get_sample_value("latchkey_dropped_hellos_total") == before + 1


async def test_a_flood_of_malformed_hellos_while_a_store_is_away_is_bounded() -> None:
    gateway = lonely_gateway()
    delivery = Delivery("lk-gw-03-now", 1, 1)
    malformed = Arrived(3, DeviceId("bike-1"), None, b"x" * 16_000, 0, delivery, False, "not a map", "$")
    report = Arrived(3, DeviceId("bike-1"), Report(seq=1), b"{}", 0, Delivery("lk-gw-03", 1, 1), False)
    before = REGISTRY.get_sample_value("latchkey_dropped_malformed_frames_total") or 0.0
    floods = 3 * wiring.MAX_PENDING_BYTES // 1_600_000
    for _ in range(floods):
        gateway.took_reports([malformed] * 100, 1_600_000)
    assert gateway.reports.pending_bytes <= wiring.MAX_PENDING_BYTES + 1_600_000
    dropped = (REGISTRY.get_sample_value("latchkey_dropped_malformed_frames_total") or 0.0) - before
    assert gateway.reports.pending + dropped == floods * 100
    waiting = gateway.reports.pending
    gateway.took_reports([malformed, report], 16_002)
    assert gateway.reports.pending == waiting + 1


async def test_a_shard_that_was_rebuilt_is_looked_through_whoever_found_it_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = lonely_gateway()

    async def lost(_: int) -> None:
        return None

    async def rebuilt(*_: object) -> str:
        return "new"

    monkeypatch.setattr(gateway.stores.live_states, "epoch", lost)
    monkeypatch.setattr(wiring, "rebuild_shard", rebuilt)
    assert await gateway.beliefs.epoch(3) == "new"
    assert gateway.lanes_to_open.get_nowait() == 3
