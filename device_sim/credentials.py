"""Device keys out of the file in which an import wrote them down."""

import csv
from pathlib import Path

from firmware_protocol.device_key import DeviceKey
from firmware_protocol.messages import DeviceId


def read_keys(path: Path) -> dict[DeviceId, DeviceKey]:
    """By device; devices without a key are missing. Raises OSError, and ValueError for a file that is none of ours."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.DictReader(file)
        if not {"device_id", "key_number", "key_hex"} <= set(lines.fieldnames or ()):
            raise ValueError(f"{path}: expected the columns device_id, key_number and key_hex")
        return {
            DeviceId(line["device_id"]): DeviceKey(int(line["key_number"]), bytes.fromhex(line["key_hex"]))
            for line in lines
            if line["key_hex"]
        }
