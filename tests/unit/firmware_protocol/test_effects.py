"""Effects are values."""

from firmware_protocol.effects import Connect, Publish, Subscribe


def test_effects_compare_by_what_they_ask() -> None:
    assert Publish("t", b"p", 1) == Publish("t", b"p", 1)
    assert Publish("t", b"p", 1) != Publish("t", b"p", 0)
    assert {Connect(), Connect(), Subscribe(("a",)), Subscribe(("a",))} == {Connect(), Subscribe(("a",))}
