"""The parts of the unlock line, before anything runs."""

import asyncio
from uuid import uuid4

import pytest

from firmware_protocol.messages import DeviceId
from gateway import command_wiring
from gateway.command_ports import ArrivedAck
from gateway.command_wiring import ReachableLanes
from gateway.ports import Delivery
from gateway.stores.notices import DEVICES_CHANNEL, command_channel
from gateway.telemetry import REGISTRY
from tests.support.lonely_gateway import lonely_gateway

ACK = ArrivedAck(3, DeviceId("bike-1"), b"sealed", "lk/v1/03/bike-1/ack", 0, Delivery("lk-gw-03-now", 1, 1))


async def test_a_flood_of_acks_is_bounded_and_never_stops_the_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command_wiring, "MAX_PENDING_ACKS", 10)
    gateway = lonely_gateway()
    before = REGISTRY.get_sample_value("latchkey_dropped_acks_total") or 0.0
    gateway.took_acks([ACK] * 11)
    gateway.took_acks([ACK] * 3)
    assert gateway.commands.acks.pending == 11
    assert REGISTRY.get_sample_value("latchkey_dropped_acks_total") == before + 3
    assert gateway.sessions.nows[3].reading


async def test_every_lane_and_all_devices_are_listened_to() -> None:
    parts = lonely_gateway().commands
    heard = parts.notices._listeners
    assert set(heard) == {command_channel(3), command_channel(7), DEVICES_CHANNEL}
    heard[DEVICES_CHANNEL]("")
    assert parts.devices_changed.is_set()
    heard[command_channel(3)]("")
    assert parts.loop._awake.is_set()


async def test_a_word_of_the_broker_about_nothing_known_is_no_harm() -> None:
    lonely_gateway().broker_acked(uuid4(), "success")


async def test_what_waits_is_said() -> None:
    gateway = lonely_gateway()
    assert gateway.commands.waiting_reasons() == []
    gateway.commands.loop.failure = "PostgreSQL does not answer"
    gateway.commands.acks.failure = "neither does it here"
    assert gateway.commands.waiting_reasons() == [
        "commands wait: PostgreSQL does not answer",
        "acks wait: neither does it here",
    ]
    assert set(gateway.commands.waiting_reasons()) <= set(gateway.not_ready())


async def test_it_finishes_when_nothing_is_left() -> None:
    parts = lonely_gateway().commands
    running = [asyncio.create_task(work) for work in (parts.loop.run(), parts.acks.run())]
    parts.drain()
    await asyncio.wait_for(parts.finished(), 30)
    await asyncio.wait(running)
    assert all(task.done() and not task.cancelled() for task in running)


async def test_a_lane_without_a_session_is_not_claimed_for() -> None:
    gateway = lonely_gateway()
    gateway.keeper.held.update({3: 9})

    class Sure:
        def lease_of(self, lane: int) -> int | None:
            return gateway.keeper.held.get(lane)

    reachable = ReachableLanes(Sure(), gateway.sessions)
    assert reachable.lease_of(3) is None
