"""A memory with a bound keeps the newest."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.stores.bounded import Bounded


@given(st.lists(st.tuples(st.integers(0, 9), st.integers())), st.integers(1, 5))
def test_the_last_keys_put_in_first_are_there_with_their_last_value(
    puts: list[tuple[int, int]], limit: int
) -> None:
    memory: Bounded[int, int] = Bounded(limit)
    model: dict[int, int] = {}
    for key, value in puts:
        memory.keep(key, value)
        if key not in model and len(model) == limit:
            model.pop(next(iter(model)))
        model[key] = value
        assert len(memory) <= limit
    assert memory == model
