"""What a device's word does to a command."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.commands import Ack, AckResult, CommandKind
from gateway.core.answer import BEGUN_IN_TIME_MS, happening_of, is_late
from gateway.core.command import SENSED, Happening

BOOT = 1_790_000_000
NOT_AFTER_MS = (BOOT + 60) * 1000


def ack(result: AckResult, **more: Any) -> Ack:
    return Ack(bytes(16), result, more.pop("boot", BOOT), **more)


def told(kind: CommandKind, answer: Ack, received_ms: int = NOT_AFTER_MS) -> Happening | None:
    return happening_of(kind, answer, boot=BOOT, not_after_ms=NOT_AFTER_MS, received_ms=received_ms)


@pytest.mark.parametrize("kind", list(CommandKind))
def test_executed_suffices_only_where_no_sensor_could_say_more(kind: CommandKind) -> None:
    wanted = Happening.ACK_EXECUTED if kind in SENSED else Happening.ACK_SUFFICES
    assert told(kind, ack(AckResult.EXECUTED, elapsed_ms=1)) is wanted


def test_each_other_result_is_what_it_says() -> None:
    assert told(CommandKind.UNLOCK, ack(AckResult.ACCEPTED)) is Happening.ACK_ACCEPTED
    assert told(CommandKind.UNLOCK, ack(AckResult.REFUSED, reason="expired")) is Happening.ACK_REFUSED
    assert told(CommandKind.UNLOCK, ack(AckResult.FAILED, reason="jammed")) is Happening.ACK_FAILED


def test_a_refusal_under_another_boot_proves_nothing() -> None:
    """An earlier copy may have been executed before the device lost power and memory."""
    assert told(CommandKind.UNLOCK, ack(AckResult.REFUSED, boot=BOOT + 1, reason="wrong_boot")) is None


@given(st.integers(-10_000, 200_000), st.integers(-10_000, 200_000))
def test_late_is_what_was_done_late_and_heard_late(elapsed_ms: int, received_after_boot_ms: int) -> None:
    received_ms = BOOT * 1000 + received_after_boot_ms
    late = is_late(
        ack(AckResult.EXECUTED, elapsed_ms=elapsed_ms), not_after_ms=NOT_AFTER_MS, received_ms=received_ms
    )
    limit_ms = 60_000 + BEGUN_IN_TIME_MS
    assert late == (elapsed_ms >= limit_ms and received_after_boot_ms >= limit_ms)


def test_a_device_that_does_not_say_when_is_not_accused() -> None:
    answer = ack(AckResult.EXECUTED)
    assert told(CommandKind.UNLOCK, answer, NOT_AFTER_MS + 99_000) is Happening.ACK_EXECUTED
