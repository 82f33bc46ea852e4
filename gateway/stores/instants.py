"""Unix milliseconds and the timestamps of PostgreSQL."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

KEPT_SINCE = "(least(%(now)s::timestamptz, now()) - %(kept)s::interval)"
"""What is older goes. `now` is of a gateway, `kept` a timedelta: a gateway whose clock is ahead of the database's
forgets nothing before its time. Of the transaction, so that an index can be used."""


def instant(at_ms: int) -> datetime:
    """The moment as a datetime in UTC."""
    return _EPOCH + timedelta(milliseconds=at_ms)


def unix_ms(moment: datetime) -> int:
    """Whole milliseconds of an aware datetime, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND
