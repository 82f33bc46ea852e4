"""Which rows a batch becomes, and which of them may be stored already."""

from msgspec import structs

from firmware_protocol.codec import Encoding, encode_report
from firmware_protocol.messages import DeviceId, Report
from firmware_protocol.topics import shard_of
from gateway.core.device import DeviceRecord, Status
from gateway.ingest.admission import Admitted
from gateway.ingest.filing import MAX_SEQ, SAVE_EVERY_MS, Filing, GivenSeqs, file_reports
from gateway.ingest.state_cache import CachedState
from gateway.ports import Arrived
from tests.support.fakes.samples import (
    BIKE,
    BOOT,
    BOOT_MS,
    CABINET,
    arrived,
    bike_report,
    cabinet_report,
    state,
)

A = DeviceId("bike-a")
DEVICE = DeviceRecord(1, A, 4, "bike", Status.ACTIVE, "p", 123_456_789, boot=BOOT)


def file(*batch: Arrived, cached: CachedState | None = None, tried: GivenSeqs | None = None) -> Filing:
    admitted = [Admitted(one, one.report, DEVICE, BIKE) for one in batch if one.report is not None]
    return file_reports(admitted, {A: cached or CachedState(1, None)}, tried=tried)


def seqs(filing: Filing) -> tuple[list[int], list[int]]:
    return [row.seq for row in filing.rows], [row.seq for row in filing.doubtful]


def basic(seq: int | None) -> Arrived:
    return arrived(A, Report(seq=seq), received_ms=BOOT_MS)


def test_stamps_above_everything_known_are_copied_all_others_are_doubtful() -> None:
    batch = [arrived(A, bike_report(seq)) for seq in (3, 5, 4, 5, 6)]
    assert seqs(file(*batch)) == ([3, 5, 6], [4, 5])


def test_a_stamp_learnt_from_the_store_proves_nothing_and_makes_rows_doubtful_only() -> None:
    cached = CachedState(1, state(A, 4))
    filing = file(arrived(A, bike_report(4)), arrived(A, bike_report(5)), cached=cached)
    assert seqs(filing) == ([5], [4])
    committed = CachedState(1, None, committed_boot=BOOT, committed_seq=4)
    assert seqs(file(arrived(A, bike_report(4)), cached=committed)) == ([], [4])


def test_what_the_broker_or_we_deliver_again_is_doubtful() -> None:
    assert seqs(file(arrived(A, bike_report(1), redelivered=True), arrived(A, bike_report(2)))) == ([2], [1])
    assert seqs(file(arrived(A, bike_report(1)), tried={})) == ([], [1])


def test_a_newer_boot_is_above_every_seq_of_the_older() -> None:
    batch = [
        arrived(A, bike_report(9, boot=BOOT - 1)),
        arrived(A, bike_report(1)),
        arrived(A, bike_report(10, boot=BOOT - 1)),
    ]
    assert seqs(file(*batch)) == ([9, 1], [10])


def test_after_the_last_seq_there_is_the_stamp_given_on_arrival_is_late_and_can_be_stored() -> None:
    at_the_end = CachedState(1, structs.replace(state(A, 1), boot=0, seq=MAX_SEQ))
    assert seqs(file(basic(None), basic(None), cached=at_the_end)) == (
        [],
        [BOOT_MS * 1000, BOOT_MS * 1000 + 1],
    )
    assert seqs(file(basic(MAX_SEQ), basic(None))) == ([MAX_SEQ], [BOOT_MS * 1000])


def test_without_a_seq_the_stamp_is_given_on_arrival_and_rises() -> None:
    micros = BOOT_MS * 1000
    assert seqs(file(basic(None), basic(None), basic(None))) == ([micros, micros + 1, micros + 2], [])
    ahead = CachedState(1, structs.replace(state(A, 1), boot=0, seq=micros + 50))
    assert seqs(file(basic(None), cached=ahead)) == ([micros + 51], [])


def test_the_same_batch_tried_again_gets_the_same_stamps() -> None:
    batch = [basic(None), basic(None)]
    first = file(*batch)
    rebuilt = CachedState(1, structs.replace(state(A, 1), boot=0, seq=first.rows[-1].seq))
    assert seqs(file(*batch, cached=rebuilt, tried=first.given)) == ([], seqs(first)[0])


def test_a_row_says_what_the_report_says() -> None:
    (row,) = file(arrived(A, bike_report(7, keep=True, lat_e7=12))).rows
    assert (row.device_no, row.operator_id, row.boot, row.seq) == (1, 4, BOOT, 7)
    assert (row.at_ms, row.clock_suspect, row.kept) == (BOOT_MS + 7_000, False, True)
    assert (row.lat_e7, row.lon_e7, row.accuracy_m, row.battery_pct, row.bolt) == (
        12,
        1_030_000_000,
        3.0,
        80,
        1,
    )
    assert (row.units, row.spaces) == (None, None)


def test_a_cabinets_row_counts_its_slots() -> None:
    one = arrived(A, cabinet_report(1, {1: "bank", 3: "other", 4: "third"}))
    assert one.report is not None
    cached = {A: CachedState(1, None, units={1: "bank"})}
    filing = file_reports([Admitted(one, one.report, DEVICE, CABINET)], cached)
    assert [(row.units, row.spaces) for row in filing.rows] == [(3, 1)]
    assert [(seen.slot, seen.unit_id, seen.at_ms) for seen in filing.sightings] == [
        (3, "other", BOOT_MS + 1_000),
        (4, "third", BOOT_MS + 1_000),
    ]


def test_a_late_report_sights_no_units() -> None:
    one = arrived(A, cabinet_report(1, {1: "bank"}))
    assert one.report is not None
    cached = {A: CachedState(1, state(A, 5))}
    assert file_reports([Admitted(one, one.report, DEVICE, CABINET)], cached).sightings == []


def test_the_state_is_saved_at_most_once_a_minute() -> None:
    cached = CachedState(1, state(A, 4), saved_at_ms=BOOT_MS)
    early = arrived(A, bike_report(5), received_ms=BOOT_MS + SAVE_EVERY_MS - 1)
    due = arrived(A, bike_report(5), received_ms=BOOT_MS + SAVE_EVERY_MS)
    assert file(early, cached=cached).by_device[A].saved is None
    saved = file(due, cached=cached).by_device[A].saved
    assert saved == cached.state
    cached.saved_revision = 4
    assert file(due, cached=cached).by_device[A].saved is None


def test_a_device_seen_first_is_saved_within_a_minute_of_its_own() -> None:
    for device_no in (1, 2, 500):
        cached = CachedState(device_no, state(A, 4))
        file(arrived(A, bike_report(5)), cached=cached)
        received_ms = BOOT_MS + 5_000
        assert received_ms - SAVE_EVERY_MS < cached.saved_at_ms <= received_ms


def test_reports_know_their_lane() -> None:
    assert file(arrived(A, bike_report(1))).by_device[A].shard == shard_of(A)


def test_what_a_device_had_lost_before_is_read_from_its_stored_report() -> None:
    lost = encode_report(Report(seq=1, kept_lost=4), encoding=Encoding.JSON)
    for frame, known in ((lost, 4), (b"", 0), (b"of another version", 0)):
        cached = CachedState(1, structs.replace(state(A, 1), frame=frame))
        file(arrived(A, bike_report(2)), cached=cached)
        assert cached.kept_lost == known
