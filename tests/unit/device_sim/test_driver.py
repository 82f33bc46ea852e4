"""Both drivers are drivers."""

from random import Random

from device_sim.driver import Address, Driver, Message, Party
from device_sim.lean_driver import LeanDriver
from device_sim.mqtt_driver import MqttDriver
from device_sim.packets import Mqtt5
from tests.unit.device_sim.notebook import Notebook


def test_nobody_is_connected_and_nothing_is_sent_before_the_driver_runs() -> None:
    party = Party((0,), "A", "A", "pw", {}, Mqtt5())
    drivers: list[Driver] = [
        kind(Address("127.0.0.1", 1), [party], Notebook(), chance=Random(1), clock_s=lambda: 0.0)
        for kind in (LeanDriver, MqttDriver)
    ]
    for driver in drivers:
        assert driver.connected_count == driver.refused_count == 0
        assert driver.publish(Message(0, "t", b"", None)) is False
        assert driver.cut(0, for_s=1.0) is True
