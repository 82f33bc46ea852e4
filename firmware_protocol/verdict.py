"""Whether a device obeys a command whose seal is good and whose id is new."""

from enum import StrEnum

from firmware_protocol.commands import FENCED, Command


class Verdict(StrEnum):
    """What is to become of it."""

    OBEY = "obey"
    NOT_YET = "not_yet"
    """For a boot number that the device has not heard of: it stays silent, and the frame comes again."""
    WRONG_BOOT = "wrong_boot"
    EXPIRED = "expired"
    OLD_FENCE = "old_fence"


def judge(command: Command, *, boot: int, server_ms: int | None, taken_fence: int) -> Verdict:
    """In the order in which every device judges. `server_ms` is never behind the gateway's clock, None while the
    device does not know it; `taken_fence` is the highest that any command used up in that slot."""
    if command.boot > boot or server_ms is None:
        return Verdict.NOT_YET
    if command.boot < boot:
        return Verdict.WRONG_BOOT
    if server_ms >= command.not_after_s * 1000:
        return Verdict.EXPIRED
    if command.kind in FENCED and command.fence <= taken_fence:
        return Verdict.OLD_FENCE
    return Verdict.OBEY
