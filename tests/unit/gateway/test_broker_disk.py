"""Room on the broker's disk is watched, where the gateway can see it."""

from pathlib import Path

from gateway import telemetry
from gateway.broker_disk import BrokerDisk


def test_room_is_no_reason(tmp_path: Path) -> None:
    disk = BrokerDisk(tmp_path, least_free_bytes=0)
    disk.look()
    assert disk.reason == ""
    assert telemetry.REGISTRY.get_sample_value("latchkey_broker_disk_alarm") == 0


def test_a_disk_without_room_is_said_in_words_and_as_a_metric(tmp_path: Path) -> None:
    disk = BrokerDisk(tmp_path, least_free_bytes=2**62)
    disk.look()
    assert "MiB left" in disk.reason
    assert telemetry.REGISTRY.get_sample_value("latchkey_broker_disk_alarm") == 1


def test_a_folder_that_is_not_there_is_a_reason(tmp_path: Path) -> None:
    disk = BrokerDisk(tmp_path / "gone")
    disk.look()
    assert "cannot be looked at" in disk.reason


def test_a_broker_elsewhere_is_not_judged() -> None:
    disk = BrokerDisk(None)
    disk.look()
    assert disk.reason == ""
