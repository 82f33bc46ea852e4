"""The verifier knows its password and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker_verifier import matches, new_password, verifier


@given(st.text(max_size=64), st.text(max_size=64))
def test_only_the_password_itself_matches(password: str, other: str) -> None:
    kept = verifier(password)
    assert matches(password, kept)
    assert matches(other, kept) == (other == password)


def test_the_password_is_not_in_it_and_two_of_the_same_look_different() -> None:
    password = new_password()
    assert password not in verifier(password)
    assert verifier(password) != verifier(password)
    assert len({new_password() for _ in range(100)}) == 100


def test_something_else_is_no_verifier() -> None:
    with pytest.raises(ValueError, match=r"\$7\$"):
        matches("x", "x")
