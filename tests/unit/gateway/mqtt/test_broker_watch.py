"""The broker's counters become gauges, and alarms at half its bound and at subscriptions that are not ours."""

import asyncio

import structlog

from gateway import telemetry
from gateway.clock import SystemClock
from gateway.mqtt.broker_watch import BrokerWatch
from gateway.mqtt.connection import Address, Connection, Surroundings
from tests.support.mqtt_peer import mqtt_peer
from tests.support.waiting import until_async


def broker(counter: str) -> float | None:
    return telemetry.REGISTRY.get_sample_value("latchkey_broker", {"counter": counter})


def alarm() -> float | None:
    return telemetry.REGISTRY.get_sample_value("latchkey_broker_queue_alarm")


async def always(connection: Connection) -> bool:
    return True


async def test_the_alarm_rises_at_half_of_the_bound_and_falls_again() -> None:
    async with mqtt_peer() as peer:
        around = Surroundings(
            Address("127.0.0.1", peer.port),
            SystemClock(),
            lambda: 0.0,
            always,
            lambda connection, closed_at_s: False,
            lambda connection: None,
        )
        watch = BrokerWatch("test", ("", ""), around, queue_messages=1_000)
        task = asyncio.create_task(watch.connection.run())
        await until_async(lambda: watch.connection.live)
        assert watch.connection.session.spec.session_expiry_s == 0
        tell = peer.links[0].publish
        tell(("$SYS/broker/store/messages/count", b"500"), ("$SYS/broker/store/messages/count", b"x"))
        await until_async(lambda: broker("queued_messages") == 500)
        assert alarm() == 1
        tell(("$SYS/broker/store/messages/count", b"499"), ("$SYS/broker/publish/messages/dropped", b"7"))
        await until_async(lambda: broker("dropped_messages") == 7)
        assert alarm() == 0
        shared = "$SYS/broker/shared_subscriptions/count"
        with structlog.testing.capture_logs() as said:
            tell((shared, b"0"), (shared, b"5000"), (shared, b"5000"), (shared, b"1"))
            await until_async(lambda: broker("shared_subscriptions") == 1)
        assert [(one["event"], one["subscriptions"]) for one in said] == [
            ("broker_shared_subscriptions", 5000)
        ]
        watch.connection.close("the test is over")
        await until_async(lambda: watch.connection.link is None)
        task.cancel()
        await asyncio.wait([task])
