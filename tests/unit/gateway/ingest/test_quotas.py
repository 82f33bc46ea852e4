"""How much one device may say."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.messages import DeviceId
from gateway.ingest.quotas import WINDOW_MS, ReportQuotas
from gateway.ports import Arrived
from tests.support.fakes.counters import FakeCounters
from tests.support.fakes.samples import arrived, bike_report


def said(*names: str) -> list[Arrived]:
    return [arrived(DeviceId(name), bike_report(seq)) for seq, name in enumerate(names)]


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=20), max_size=10), st.integers(1, 12))
def test_nobody_exceeds_the_bound_and_nobody_pays_for_another(batches: list[list[str]], bound: int) -> None:
    counters = FakeCounters()
    quotas = ReportQuotas(bound, counters)
    taken: Counter[str] = Counter()
    for batch in batches:
        reports = said(*batch)
        before = list(reports)
        beyond = quotas.mark(reports, 0)
        assert [one.beyond_quota for one in reports] == [place in beyond for place in range(len(reports))]
        assert [one.frame for one in reports] == [one.frame for one in before]
        taken.update(one.device_id for one in reports if not one.beyond_quota)
    everything = Counter(name for batch in batches for name in batch)
    assert taken == Counter({name: min(count, bound) for name, count in everything.items()})
    assert counters.counts["beyond_quota"] == everything.total() - taken.total()


def test_the_next_window_begins_anew() -> None:
    quotas = ReportQuotas(1, FakeCounters())
    moments = (0, WINDOW_MS - 1, WINDOW_MS)
    assert [len(quotas.mark(said("a", "a"), at_ms)) for at_ms in moments] == [1, 2, 1]


def test_without_a_bound_everything_is_taken_in() -> None:
    assert not ReportQuotas(0, FakeCounters()).mark(said(*"a" * 2_000), 0)
