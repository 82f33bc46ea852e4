"""The audit finds each kind of lie, and nothing where there is none."""

from msgspec.structs import replace

from device_sim.audit import (
    Difference,
    MapDevice,
    Seen,
    SeenDevice,
    SeenLock,
    SeenStamp,
    audit,
)
from device_sim.truth import DeviceTruth
from firmware_protocol import codec
from firmware_protocol.codec import Encoding
from firmware_protocol.messages import Bolt, Fix, Lock, Report

REPORT = Report(
    boot=5,
    seq=3,
    elapsed_ms=100,
    keep=True,
    fix=Fix(13_000_000, 1_038_000_000, 5.0),
    lock=Lock(Bolt.CLOSED),
    battery_pct=70,
    moving=False,
)


def truth(**changes: object) -> DeviceTruth:
    frame = codec.encode_report(REPORT, encoding=Encoding.CBOR)
    known = DeviceTruth(
        "D1",
        "bike",
        basic=False,
        skew_ms=0,
        newest_stamp=(5, 3),
        newest_frame=frame,
        receipted={(5, 1), (5, 3)},
    )
    for name, value in changes.items():
        setattr(known, name, value)
    return known


DEVICE = SeenDevice(
    "D1",
    "pub1",
    "online",
    SeenStamp(5, 3),
    battery_pct=70,
    moving=False,
    lock=SeenLock("closed"),
)
SHOWN = MapDevice("pub1", 1.3, 103.8, battery_pct=70)
HISTORY = ((5, 1), (5, 2), (5, 3))


def found(
    known: DeviceTruth | None = None,
    *,
    device: SeenDevice | None = DEVICE,
    history: tuple[tuple[int, int], ...] = HISTORY,
    shown: MapDevice | None = SHOWN,
) -> list[str]:
    on_map = {} if shown is None else {shown.id: shown}
    return [one.what for one in audit([known or truth()], {"D1": Seen(device, history)}, on_map)]


def test_agreement_is_silent() -> None:
    assert found() == []


def test_history_must_hold_what_was_receipted_once() -> None:
    assert found(history=((5, 2), (5, 3))) == ["receipted but not in history"]
    assert found(history=(*HISTORY, (5, 2))) == ["in history 2 times"]
    assert found(truth(outstanding={(5, 2)})) == ["kept report without receipt"]
    assert found(truth(outstanding={(4, 9)}, kept_lost=1)) == []


def test_what_is_still_in_the_ring_is_not_excused_by_other_losses() -> None:
    held = {"outstanding": {(4, 9)}, "in_ring": frozenset({(4, 9)}), "unreceipted": 1}
    assert found(truth(kept_lost=1, **held)) == ["kept report without receipt"]


def test_kept_reports_that_never_left_the_device_are_found() -> None:
    assert found(truth(unreceipted=5)) == ["kept reports still inside the device"]
    dropped = truth(outstanding={(4, 9)}, kept_lost=1, unreceipted=1, in_ring=frozenset({(5, 4)}))
    assert found(dropped) == ["kept reports still inside the device"], "the dropped one does not stand for it"


def test_a_device_that_was_asked_for_a_last_word_must_have_reported() -> None:
    silent = truth(newest_frame=b"", receipted=set())
    seen = {"D1": Seen(replace(DEVICE, stamp=None), ())}
    assert audit([silent], seen, {}) == []
    assert audit([silent], seen, {}, all_spoke=True) == [Difference("D1", "never reported")]


def test_the_live_state_must_be_the_newest_report() -> None:
    assert found(device=replace(DEVICE, stamp=SeenStamp(5, 2))) == ["stale live state"]
    assert found(device=replace(DEVICE, stamp=None)) == ["no live state"]
    assert found(device=replace(DEVICE, stamp=SeenStamp(6, 1))) == ["live state of a report never sent"]
    assert found(truth(unconfirmed={(6, 1)}), device=replace(DEVICE, stamp=SeenStamp(6, 1))) == []
    assert found(device=replace(DEVICE, battery_pct=10)) == ["live state differs in battery_pct"]
    assert found(device=replace(DEVICE, lock=SeenLock("open"))) == ["live state differs in bolt"]
    assert found(device=None) == ["unknown to the gateway", "a ghost on the map"]


def test_the_map_must_show_each_living_device_where_it_is() -> None:
    assert found(shown=None) == ["missing on the map"]
    assert found(shown=replace(SHOWN, lat=1.31)) == ["in the wrong place on the map"]
    assert found(shown=replace(SHOWN, battery_pct=20)) == ["wrong charge on the map"]
    assert found(device=replace(DEVICE, presence="lost")) == ["on the map, though lost"]
    assert found(device=replace(DEVICE, presence="lost"), shown=None) == []
    never = truth(newest_frame=b"", receipted=set())
    assert found(never) == ["on the map, though it never reported"]


def test_a_basic_device_whose_clock_is_behind_is_not_judged_on_the_map() -> None:
    assert found(truth(basic=True, skew_ms=-3_600_000), shown=None) == []
    assert found(truth(basic=True, skew_ms=20_000), shown=None) == ["missing on the map"]


def test_a_ghost_is_found_and_a_known_stranger_is_not() -> None:
    on_map = {"pub1": SHOWN, "pub9": replace(SHOWN, id="pub9")}
    seen = {"D1": Seen(DEVICE, HISTORY)}
    assert audit([truth()], seen, on_map) == [Difference("pub9", "a ghost on the map")]
    stranger = replace(DEVICE, id="X", public_id="pub9")
    assert audit([truth()], seen | {"pub9": Seen(stranger, ())}, on_map) == []


def test_a_difference_reads_as_a_sentence() -> None:
    assert str(Difference("D1", "stale live state", "believes boot 5 seq 2")) == (
        "D1: stale live state (believes boot 5 seq 2)"
    )


def test_a_bolt_that_counts_otherwise_or_obeyed_another_command_is_found() -> None:
    for lock in (SeenLock("closed", openings=1), SeenLock("closed", last_fence=1)):
        seen = {"D1": Seen(replace(DEVICE, lock=lock), [(5, 1), (5, 3)])}
        (found,) = audit([truth()], seen, {"pub1": MapDevice("pub1", 1.3, 103.8, 70)})
        assert found.what.startswith("live state differs in ")
