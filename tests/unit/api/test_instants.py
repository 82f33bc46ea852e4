"""Milliseconds and datetimes are the same moments."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from api.instants import instant, instant_or_none, unix_ms


@given(st.integers(0, 4_102_444_800_000))
def test_there_and_back(at_ms: int) -> None:
    assert unix_ms(instant(at_ms)) == at_ms


def test_a_moment_in_another_zone_is_the_same_moment() -> None:
    assert unix_ms(datetime.fromisoformat("2025-10-09T10:13:20+01:20")) == 1_760_000_000_000
    assert instant(1_760_000_000_000) == datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)


def test_a_moment_that_was_never_known_is_none() -> None:
    assert instant_or_none(None) is None
    assert instant_or_none(0) is None
    assert instant_or_none(1) == instant(1)
