"""SIGTERM and SIGHUP end a test run as Ctrl-C does: fixtures are torn down, servers stopped in order."""

import signal
import threading
from types import FrameType


def end_in_order_when_told() -> None:
    """Unless the signal is ignored, as under nohup, or somebody has decided already."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    # A group is told as one, and then each by the other: a second time must not interrupt the end.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is _end:
            # Not SIG_IGN, which children would inherit.
            signal.signal(number, _heard)
    raise KeyboardInterrupt


def _heard(_number: int, _frame: FrameType | None) -> None:
    """It ends already."""
