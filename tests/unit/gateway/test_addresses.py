"""Addresses that cannot be read are refused, and no part of them is repeated."""

import traceback
from collections.abc import Callable

import pytest

from gateway.addresses import postgres_dsn, redis_url


@pytest.mark.parametrize("text", ["postgresql://u:p@h/d", "host=h password='a b'", "dbname=d"])
def test_a_dsn_that_libpq_can_read_is_taken(text: str) -> None:
    assert postgres_dsn(text) == text


@pytest.mark.parametrize("text", ["redis://h", "redis://:p@h:6379/3", "rediss://u:p%2Fq@h:6380"])
def test_an_address_of_a_redis_is_taken(text: str) -> None:
    assert redis_url(text) == text


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (postgres_dsn, "host=h password=correct horse"),
        (postgres_dsn, "postgresql://u:p%horse@h/d"),
        (redis_url, "redis://:horse/x@h:6379/0"),
        (redis_url, "redis://h:horse/0"),
        (redis_url, "redis://h:6379/horse"),
        (redis_url, "http://horse"),
    ],
)
def test_what_is_refused_is_not_repeated(check: Callable[[str], str], text: str) -> None:
    with pytest.raises(ValueError) as refused:
        check(text)
    assert "horse" not in "".join(traceback.format_exception(refused.value))
