"""Forgetting a device's last stamp, when its own numbering went back."""

from msgspec import structs

from gateway.core.advance import Advanced
from gateway.core.live_state import LiveState

BEFORE_EVERY_SEQ = -1
"""No report has it, so the next one of any numbering advances the state."""


def rebase(state: LiveState) -> Advanced:
    """Everything stays believed except which report was the newest."""
    after = structs.replace(state, revision=state.revision + 1, boot=0, seq=BEFORE_EVERY_SEQ)
    return Advanced(state, after, False)
