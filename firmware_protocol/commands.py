"""What the gateway orders a full device to do, and what the device answers."""

from enum import IntEnum
from typing import Annotated

from msgspec import Meta, Struct

from firmware_protocol import limits
from firmware_protocol.messages import Code, Int63, Uint63

CommandId = Annotated[bytes, Meta(min_length=16, max_length=16)]
"""A UUID as its 16 bytes."""
Fence = Annotated[int, Meta(ge=1, le=2**63 - 1)]
SlotNumber = Annotated[int, Meta(ge=0, le=limits.MAX_SLOTS)]
"""0 is the device itself."""
SettingText = Annotated[str, Meta(max_length=limits.MAX_SETTING_CHARS, pattern=r"^[ -~]*\Z")]
Settings = Annotated[dict[Code, bool | Int63 | SettingText], Meta(max_length=limits.MAX_SETTINGS)]


class CommandKind(IntEnum):
    """What is ordered."""

    UNLOCK = 1
    LOCK = 2
    EJECT = 3
    OPEN_SLOT = 4
    LOCATE = 5
    REBOOT = 6
    CONFIGURE = 7
    QUERY = 8


FENCED = frozenset(CommandKind) - {CommandKind.LOCATE, CommandKind.QUERY}
"""Kinds that leave a mark: the device refuses one whose fence is not above the last it took for the slot."""


class AckResult(IntEnum):
    """What the device says became of a command. None of them is evidence."""

    ACCEPTED = 1
    EXECUTED = 2
    REFUSED = 3
    FAILED = 4
    """It tried, and its own sensors say that it did not work."""


class Command(Struct, frozen=True, gc=False):
    """One order to one device; travels signed, see `signature`."""

    command_id: CommandId
    boot: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    """The device refuses every boot number but its present one."""
    fence: Fence
    not_after_s: Annotated[int, Meta(ge=1, le=2**33)]
    """Unix seconds; from that second on the device must refuse it."""
    kind: CommandKind
    slot: SlotNumber = 0
    settings: Settings = {}
    """Only for CONFIGURE."""


class Ack(Struct, frozen=True, gc=False):
    """The device's answer to one command; travels signed. A repeated command gets the stored answer again."""

    command_id: CommandId
    result: AckResult
    boot: Uint63
    """The device's boot number when it answered."""
    fence: Uint63 = 0
    slot: SlotNumber = 0
    reason: Code | None = None
    """Why it was refused or failed: `expired`, `old_fence`, `wrong_boot`, `no_such_slot`, `unsupported`, `busy`,
    `jammed`, or a word of the model's own. A refusal speaks of this copy of the frame: after `wrong_boot` an earlier
    copy may have been executed by a device that has lost its memory since; after all others none was."""
    elapsed_ms: Int63 | None = None
    """When it was executed, on the clock of `Report.elapsed_ms`."""
