"""What no single field of a message can say."""

import pytest
from msgspec import Struct

from firmware_protocol import messages
from firmware_protocol.messages import Hello, Report, ReportStamp, Slot, Welcome


def test_stamps_are_ordered_by_boot_then_seq() -> None:
    assert ReportStamp(1, 99) < ReportStamp(2, 1) < ReportStamp(2, 2)


def test_a_boot_number_needs_a_seq_and_a_time() -> None:
    for seq, elapsed_ms, reported_at_ms in (
        (None, None, None),
        (1, None, None),
        (None, 1, None),
        (None, 1, 1),
    ):
        with pytest.raises(ValueError, match="boot number needs"):
            Report(boot=1, seq=seq, elapsed_ms=elapsed_ms, reported_at_ms=reported_at_ms)
    Report(boot=1, seq=0, elapsed_ms=0)
    Report(boot=1, seq=0, reported_at_ms=0)


def test_a_slot_is_stated_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        Report(slots=(Slot(number=1), Slot(number=2), Slot(number=1)))


@pytest.mark.parametrize("power_on_id", [2**64, 2**80])
def test_a_power_on_id_has_64_bits(power_on_id: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        Hello(power_on_id, "m")
    with pytest.raises(ValueError, match="64 bits"):
        Welcome(power_on_id, 1, 1)


def test_every_message_is_frozen() -> None:
    kinds = [kind for kind in vars(messages).values() if isinstance(kind, type) and issubclass(kind, Struct)]
    assert len(kinds) >= 8
    assert all(kind.__struct_config__.frozen for kind in kinds if kind is not Struct)
