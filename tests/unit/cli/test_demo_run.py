import time
from dataclasses import asdict
from pathlib import Path

import psycopg

from cli.demo_run import STANDSTILL_S, Rows, settings_of, settled_rows, summarize
from cli.map_watch import MapWatch
from device_sim.ledger import Summary
from device_sim.run import RunResult
from device_sim.trip_count import TripCount

FILE = TripCount(300, 60, 60, 5, "line 302: start 'oops' is no time")


def test_a_demo_whose_reports_are_all_in_ends_at_once(database: str) -> None:
    assert settled_rows(database, acked=0) == Rows(stored=0, quarantined=0)


def test_a_demo_does_not_wait_for_what_will_never_come(database: str) -> None:
    began_s = time.monotonic()
    assert settled_rows(database, acked=7) == Rows(stored=0, quarantined=0)
    assert time.monotonic() - began_s >= STANDSTILL_S


def test_what_was_quarantined_has_come_in_too(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "insert into quarantine (device_id, topic, reason, place, received_at, frame)"
            " values ('x', 'lk/v1/08/x/report', 'malformed', '', now(), 'x')"
        )
    began_s = time.monotonic()
    assert settled_rows(database, acked=1) == Rows(stored=0, quarantined=1)
    assert time.monotonic() - began_s < STANDSTILL_S


def test_a_summary_takes_each_figure_from_who_counted_it() -> None:
    watch = MapWatch("ws://127.0.0.1:1/v1/live", (0.0, 0.0, 1.0, 1.0))
    watch.devices = {"a": {}, "b": {}}
    watch.changes = 5
    watch.lags.add(0.004)
    fleet = Summary(2, connected=2, seconds=3.0, sent=9, acked=8, kept=1, receipted=1)
    summary = summarize(RunResult(fleet), watch, Rows(7, 1), page="http://p/", profile="city", replay=FILE)
    assert asdict(summary)["replay"] == {
        "trips": 300,
        "bikes": 60,
        "riding_bikes": 60,
        "refused_rows": 5,
        "first_refused": "line 302: start 'oops' is no time",
    }
    assert (summary.sent, summary.confirmed, summary.stored, summary.quarantined) == (9, 8, 7, 1)
    assert (summary.map_devices, summary.map_changes, summary.page, summary.profile) == (
        2,
        5,
        "http://p/",
        "city",
    )
    assert summary.p50_ms == summary.p99_ms
    assert summary.p50_ms is not None
    assert 4.0 <= summary.p50_ms <= 4.4


def test_a_demo_bounds_no_device_so_that_a_small_fleet_at_a_high_rate_is_stored_whole() -> None:
    assert settings_of(8080, Path("page"))["LATCHKEY_REPORTS_PER_DEVICE"] == "0"
