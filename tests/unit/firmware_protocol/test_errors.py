"""What an error tells, and that a peer's text in it is clean."""

import copy
import pickle

from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.errors import BadSeal, MalformedFrame, MalformedTopic, printable
from firmware_protocol.limits import MAX_REASON_CHARS


@given(st.text(max_size=400))
def test_a_peers_text_is_short_ascii_without_control_characters(text: str) -> None:
    shown = printable(text)
    assert len(shown) <= MAX_REASON_CHARS
    assert all(" " <= character <= "~" for character in shown)


def test_errors_carry_facts_and_a_sentence() -> None:
    frame = MalformedFrame("not a number\n", "$.slots[0].number")
    assert (frame.reason, frame.at) == ("not a number?", "$.slots[0].number")
    assert str(frame) == "not a number? at $.slots[0].number"
    topic = MalformedTopic("not a shard", "lk/v1/\x00")
    assert str(topic) == "not a shard: lk/v1/?"


def test_errors_cross_process_borders() -> None:
    for error in (MalformedFrame("why", "$"), MalformedTopic("why", "a/b"), BadSeal("why")):
        for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
            assert str(twin) == str(error)
            assert twin.reason == "why"
