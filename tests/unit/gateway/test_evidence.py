"""Until there are commands and claims, no report is evidence."""

from gateway.evidence import NothingOpen


def test_nothing_is_open() -> None:
    assert not NothingOpen().open_devices
