"""A key has a number for four bytes and a secret of full length, and never shows it."""

import pytest

from firmware_protocol.device_key import DeviceKey


@pytest.mark.parametrize(("number", "length"), [(0, 32), (2**32, 32), (1, 31), (1, 33), (1, 0)])
def test_a_key_that_no_frame_could_name_or_that_is_too_short_is_refused(number: int, length: int) -> None:
    with pytest.raises(ValueError):
        DeviceKey(number, b"s" * length)


def test_a_secret_is_not_shown() -> None:
    assert "sss" not in repr(DeviceKey(2**32 - 1, b"s" * 32))
