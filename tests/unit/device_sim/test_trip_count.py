"""Who brought a file of trips is told what of it rides, and what was refused and why."""

import pytest

from device_sim.trip_count import TripCount


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (TripCount(300, 60, 60, 0, ""), "300 trips of 60 bikes"),
        (
            TripCount(300, 60, 60, 5, "line 302: start 'oops' is no time"),
            "300 trips of 60 bikes; 5 rows refused, the first in line 302: start 'oops' is no time",
        ),
        (
            TripCount(1, 1, 1, 1, "line 3: bike is empty"),
            "1 trip of 1 bike; 1 row refused, in line 3: bike is empty",
        ),
        (TripCount(300, 60, 40, 0, ""), "300 trips of 60 bikes, 40 of which ride"),
        (TripCount(300, 60, 1, 0, ""), "300 trips of 60 bikes, 1 of which rides"),
    ],
)
def test_a_file_is_told_in_one_sentence(count: TripCount, said: str) -> None:
    assert count.text() == said
