"""Keys are read as an import wrote them."""

from pathlib import Path

import pytest

from cli.device_import import HEADER
from device_sim.credentials import read_keys
from firmware_protocol.device_key import DeviceKey


def test_devices_without_a_key_are_missing(tmp_path: Path) -> None:
    file = tmp_path / "credentials.csv"
    file.write_text(f"{','.join(HEADER)}\nD1,secret,2,{'0f' * 32},t\nD2,secret,,,t\n")
    assert read_keys(file) == {"D1": DeviceKey(2, b"\x0f" * 32)}


@pytest.mark.parametrize("text", ["", "device_id,password\nD1,x\n", f"{','.join(HEADER)}\nD1,x,1,zz,t\n"])
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "credentials.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"expected|non-hexadecimal"):
        read_keys(file)
