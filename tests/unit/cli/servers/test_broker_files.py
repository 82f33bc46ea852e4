from pathlib import Path

from cli.servers.broker_files import BrokerPlace, configuration, rights

PLACE = BrokerPlace(
    folder=Path("/config"),
    data=Path("/kept"),
    device_address="127.0.0.1",
    device_port=1883,
    internal_address="10.0.0.5",
    internal_port=1884,
)


def directives() -> list[tuple[str, str]]:
    lines = [line for line in configuration(PLACE).splitlines() if line and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


def test_every_placeholder_is_filled_in() -> None:
    assert "${" not in configuration(PLACE)


def test_the_shipped_configuration_refuses_strangers_on_both_listeners() -> None:
    assert ("per_listener_settings", "true") in directives()
    assert directives().count(("allow_anonymous", "false")) == 2


def test_devices_and_gateways_have_listeners_passwords_and_rights_of_their_own() -> None:
    said = directives()
    internal = said.index(("listener", "1884 10.0.0.5"))
    devices, gateways = said[:internal], said[internal:]
    assert ("listener", "1883 127.0.0.1") in devices
    assert ("use_username_as_clientid", "true") in devices
    assert ("use_username_as_clientid", "true") not in gateways
    assert ("password_file", "/config/devices.passwords") in devices
    assert ("password_file", "/config/internal.passwords") in gateways


def test_the_bounds_that_the_measurements_asked_for_are_set() -> None:
    said = dict(directives())
    assert int(said["max_queued_messages"]) >= 300 * 15_000 / 16
    assert int(said["max_queued_bytes"]) >= int(said["max_queued_messages"]) * 250
    assert said["max_inflight_messages"] == "0"
    assert int(said["max_packet_size"]) > 16_384 + 64
    assert said["retain_available"] == "false"
    assert said["set_tcp_nodelay"] == "true"
    assert said["persistence_location"] == "/kept/"
    assert int(said["max_keepalive"]) <= 3_600


def test_a_device_writes_and_reads_only_under_its_own_name() -> None:
    patterns = [line for line in rights("devices").splitlines() if line and not line.startswith("#")]
    assert all(line.startswith("pattern ") and "/%u/" in line for line in patterns)
