"""Unix milliseconds inside, aware datetimes outside."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(at_ms: int) -> datetime:
    """The moment as a datetime in UTC. Raises OverflowError beyond the year 9999."""
    return _EPOCH + timedelta(milliseconds=at_ms)


def instant_or_none(at_ms: int | None) -> datetime | None:
    """None stays None, and so does 0: no moment was ever known."""
    return instant(at_ms) if at_ms else None


def unix_ms(moment: datetime) -> int:
    """Whole milliseconds of an aware datetime, rounded down."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)
