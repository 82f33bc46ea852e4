"""Every report is booked once per state."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from device_sim.device import build_device
from device_sim.driver import Message
from device_sim.fleet import build_fleet
from device_sim.ledger import NO_LISTENER, Latencies, Ledger
from device_sim.peek import Label


def ledger(devices: int = 1) -> Ledger:
    fleet = build_fleet(devices, seed=1, secret=b"s")
    made = [
        build_device(number, device_id, profile, chance=Random(1))
        for number, (device_id, profile) in enumerate(zip(fleet.device_ids, fleet.profiles, strict=True))
    ]
    return Ledger(fleet, made, None)


def message(label: Label) -> Message:
    return Message(0, "t", b"%d" % label.seq, label)


def send(book: Ledger, label: Label, *, copies: int = 1) -> None:
    book.sent(message(label), label, 0, copies=copies)


def confirm(book: Ledger, label: Label, refusal: int = 0) -> None:
    book.confirmed(message(label), label, refusal, now_ms=0)


def test_a_report_sent_twice_counts_once() -> None:
    book = ledger()
    label = Label(5, 1, True)
    for _ in range(3):
        send(book, label)
        confirm(book, label)
    for _ in range(2):
        book.receipted(0, (5, 1), 0)
    summary = book.summary
    assert (summary.sent, summary.resent, summary.acked, summary.kept, summary.receipted) == (1, 2, 1, 1, 1)
    assert book.open_count == 0
    assert book.truths[0].receipted == {(5, 1)}


def test_the_newest_is_the_greatest_stamp_that_was_confirmed() -> None:
    book = ledger()
    for seq in (1, 3, 2, 4):
        send(book, Label(5, seq, False))
    for seq in (3, 1, 2):
        confirm(book, Label(5, seq, False))
    confirm(book, Label(5, 4, False), NO_LISTENER)
    truth = book.truths[0]
    assert (truth.newest_stamp, truth.newest_frame) == ((5, 3), b"3")
    assert book.summary.unheard == 1
    assert book.open_count == 0


def test_a_refused_kept_report_stays_open_and_a_plain_one_is_gone() -> None:
    book = ledger()
    for label in (Label(5, 1, True), Label(5, 2, False)):
        send(book, label)
        confirm(book, label, 135)
        book.given_up(0, label)
    assert book.summary.refused == 2
    assert book.truths[0].outstanding == {(5, 1)}
    assert book.open_count == 2


def test_a_doubled_report_whose_late_copy_is_lost_still_waits_for_its_first() -> None:
    book = ledger()
    label = Label(5, 1, False)
    send(book, label, copies=2)
    book.given_up(0, label)
    assert (book.open_count, book.summary.dropped) == (1, 0)
    confirm(book, label)
    assert (book.open_count, book.summary.acked, book.truths[0].newest_stamp) == (0, 1, (5, 1))


def test_a_doubled_report_of_which_no_copy_arrives_is_dropped_once() -> None:
    book = ledger()
    label = Label(5, 1, False)
    send(book, label, copies=2)
    book.given_up(0, label)
    book.given_up(0, label)
    assert (book.open_count, book.summary.dropped) == (0, 1)


def test_a_doubled_report_that_is_refused_twice_is_refused_once() -> None:
    book = ledger()
    label = Label(5, 1, False)
    send(book, label, copies=2)
    confirm(book, label, 135)
    assert book.open_count == 1
    confirm(book, label, 135)
    assert (book.open_count, book.summary.refused) == (0, 1)


def test_the_late_copy_of_a_confirmed_report_that_goes_again_after_a_cut_counts_as_sent_again() -> None:
    book = ledger()
    label = Label(5, 1, False)
    send(book, label, copies=2)
    confirm(book, label)
    send(book, label)
    assert book.open_count == 0
    confirm(book, label)
    summary = book.summary
    assert (summary.sent, summary.resent, summary.acked) == (1, 1, 1)


def test_a_receipt_is_a_confirmation_too() -> None:
    book = ledger()
    label = Label(5, 1, True)
    send(book, label)
    book.receipted(0, (5, 1), 0)
    truth = book.truths[0]
    assert (book.open_count, book.summary.acked, truth.unconfirmed) == (0, 1, set())
    assert (truth.newest_stamp, truth.newest_frame) == ((5, 1), b"1")
    confirm(book, label)
    assert book.summary.acked == 1


@given(st.lists(st.floats(1e-5, 50.0), min_size=1, max_size=300), st.floats(0.01, 1.0))
def test_percentiles_are_within_a_tenth(durations_s: list[float], share: float) -> None:
    latencies = Latencies()
    for took_s in durations_s:
        latencies.add(took_s)
    rank = max(0, -(-int(share * len(durations_s) * 1e9) // 10**9) - 1)
    exact_ms = sorted(durations_s)[min(rank, len(durations_s) - 1)] * 1000
    found_ms = latencies.percentile_ms(share)
    assert found_ms is not None
    neighbours = sorted(durations_s)[max(0, rank - 1) : rank + 2]
    assert min(neighbours) * 1000 * 0.99 - 0.001 <= found_ms <= max(*neighbours, exact_ms / 1000) * 1000 * 1.1


def test_nothing_measured_has_no_percentile() -> None:
    assert Latencies().percentile_ms(0.5) is None
