"""What may happen is told apart by its number."""

from device_sim.happenings import Conflicts, Event


def test_no_two_events_are_one_and_nothing_is_in_conflict_at_first() -> None:
    assert len(set(map(int, Event))) == len(Event) == 6
    assert Conflicts() == Conflicts(overlaps=0, jumps=0)
