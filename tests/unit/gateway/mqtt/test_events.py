"""What an MQTT session is."""

from gateway.mqtt.events import RECEIVE_MAX, SESSION_EXPIRY_S, SessionSpec


def test_a_session_outlives_its_connections_unless_told_otherwise() -> None:
    spec = SessionSpec("lk-gw-00", "user", "secret", ("a/+",))
    assert spec.session_expiry_s == SESSION_EXPIRY_S < 0xFFFF_FFFF
    assert spec.receive_max == RECEIVE_MAX == 65_534
    assert spec.retained_too is False
