"""What exactly is different on the wire when firmware misbehaves, beside firmware that does not."""

from random import Random

import pytest

from device_sim.fleet import build_fleet
from device_sim.misbehaviour import QUIRKS, BadMisbehaviour, Misbehaviour, cast, parse_misbehaviours
from device_sim.profiles import Level
from firmware_protocol.messages import Bolt
from tests.unit.device_sim.signed_stage import SignedStage

DONE = [("accepted", None), ("executed", None)]


def bolt(stage: SignedStage) -> Bolt:
    lock = stage.reports[-1].lock
    assert lock is not None
    return lock.bolt


def test_right_firmware_answers_twice_opens_once_and_reports_at_once() -> None:
    stage = SignedStage()
    before = stage.openings
    frame = stage.order()
    assert stage.obeys(frame) == DONE
    assert (stage.openings, stage.last_fence, bolt(stage)) == (before + 1, 1, Bolt.OPEN)
    assert stage.reports[-1].keep
    assert 300 <= stage.answers[-1].at_ms - stage.answers[0].at_ms <= 1_510
    assert stage.obeys(frame) == [("executed", None)], "a copy gets the stored answer"
    assert stage.openings == before + 1


def test_refuses() -> None:
    stage = SignedStage(Misbehaviour.REFUSES)
    before = stage.openings
    assert stage.obeys(stage.order()) == [("accepted", None), ("refused", "maintenance")]
    assert (stage.openings, bolt(stage)) == (before, Bolt.CLOSED)


def test_jams() -> None:
    stage = SignedStage(Misbehaviour.JAMS)
    before = stage.openings
    assert stage.obeys(stage.order()) == [("accepted", None), ("failed", "jammed")]
    assert (stage.openings, stage.last_fence, bolt(stage)) == (before, 1, Bolt.BETWEEN)
    assert stage.reports[-1].faults == ("bolt_jammed",)


def test_acks_without_opening() -> None:
    stage = SignedStage(Misbehaviour.ACKS_WITHOUT_OPENING)
    before = stage.openings
    assert stage.obeys(stage.order()) == DONE
    assert (stage.openings, stage.last_fence, bolt(stage)) == (before, 1, Bolt.CLOSED)


def test_opens_without_ack() -> None:
    stage = SignedStage(Misbehaviour.OPENS_WITHOUT_ACK)
    before = stage.openings
    assert stage.obeys(stage.order()) == []
    assert (stage.openings, stage.last_fence, bolt(stage)) == (before + 1, 1, Bolt.OPEN)


def test_acks_twice() -> None:
    stage = SignedStage(Misbehaviour.ACKS_TWICE)
    before = stage.openings
    assert stage.obeys(stage.order()) == [DONE[0], DONE[0], DONE[1], DONE[1]]
    assert stage.openings == before + 1


def test_acks_late() -> None:
    stage = SignedStage(Misbehaviour.ACKS_LATE)
    before = stage.openings
    assert stage.obeys(stage.order()) == []
    assert (stage.openings, stage.last_fence) == (before + 1, 1)
    stage.pass_ms(21_000)
    assert sorted(answer.result for answer in stage.answers) == ["accepted", "executed"]
    assert min(answer.at_ms for answer in stage.answers) >= 3_000


def test_ignores_expiry() -> None:
    right, wrong = SignedStage(), SignedStage(Misbehaviour.IGNORES_EXPIRY)
    before = wrong.openings
    expired = right.order(ttl_s=0)
    assert right.obeys(expired) == [("refused", "expired")]
    assert wrong.obeys(wrong.order(ttl_s=3), 3_000) == []
    assert (wrong.openings, wrong.last_fence) == (before, 0), "its modem sleeps"
    wrong.pass_ms(4_200)
    assert [(one.result, one.reason) for one in wrong.answers] == [("executed", None)]
    assert (wrong.openings, wrong.last_fence) == (before + 1, 1)
    assert wrong.answers[0].at_ms > 5_000


def test_executes_duplicates() -> None:
    stage = SignedStage(Misbehaviour.EXECUTES_DUPLICATES)
    before = stage.openings
    frame = stage.order()
    assert stage.obeys(frame) == DONE
    assert stage.obeys(frame) == [("executed", None)]
    assert (stage.openings, stage.last_fence) == (before + 2, 1)


def test_loses_power_before_ack() -> None:
    stage = SignedStage(Misbehaviour.LOSES_POWER_BEFORE_ACK)
    before, told = stage.openings, len(stage.reports)
    frame = stage.order()
    assert stage.obeys(frame) == [("accepted", None)]
    assert (stage.openings, len(stage.reports)) == (before + 1, told)
    assert stage.air.cuts == [(0, 3.0)]
    stage.conductor.disconnected(0, [])
    stage.welcome()
    assert stage.last_fence == 1, "its flash knows that it began"
    assert stage.obeys(frame) == [("accepted", None)], "which is all it ever knew"
    assert stage.openings == before + 1


@pytest.mark.parametrize(
    ("misbehaviour", "last_fence", "to_the_copy"),
    [
        (Misbehaviour.REBOOTS_REMEMBERING, 1, ("executed", None)),
        (Misbehaviour.REBOOTS_FORGETFUL, 0, ("refused", "wrong_boot")),
    ],
)
def test_reboots(misbehaviour: Misbehaviour, last_fence: int, to_the_copy: tuple[str, str | None]) -> None:
    stage = SignedStage(misbehaviour)
    before, told = stage.openings, len(stage.reports)
    frame = stage.order()
    assert stage.obeys(frame) == DONE
    assert (stage.openings, len(stage.reports)) == (before + 1, told)
    stage.conductor.disconnected(0, [])
    stage.welcome()
    assert (stage.last_fence, stage.openings) == (last_fence, before + 1)
    assert stage.obeys(frame) == [to_the_copy]
    assert stage.openings == before + 1


def test_shares_are_read_and_bounded() -> None:
    assert parse_misbehaviours(["jams", "refuses=0"]) == {Misbehaviour.JAMS: 1.0, Misbehaviour.REFUSES: 0.0}
    for texts in (["nods"], ["jams=many"], ["jams=-1"], ["jams=nan"], ["jams", "refuses=0.1"]):
        with pytest.raises(BadMisbehaviour):
            parse_misbehaviours(texts)


def test_who_misbehaves_follows_from_the_seed_and_only_those_who_obey_can() -> None:
    shares = {Misbehaviour.IGNORES_EXPIRY: 0.25, Misbehaviour.JAMS: 0.5}
    parts = cast(range(100), shares, Random(1))
    assert parts == cast(range(100), shares, Random(1)) != cast(range(100), shares, Random(2))
    assert sorted(map(str, parts.values())) == ["ignores_expiry"] * 25 + ["jams"] * 50
    fleet = build_fleet(300, seed=1, secret=b"s", misbehave=dict.fromkeys(Misbehaviour, 1 / 11))
    for index, misbehaviour in fleet.misbehaviours.items():
        profile = fleet.profiles[index]
        assert profile.level is Level.FULL
        assert profile.quirks == ((QUIRKS[misbehaviour],) if misbehaviour in QUIRKS else ())
    assert {model.quirks for model in fleet.models()} == {(), ("ignores_ttl",), ("dup_unsafe",)}
    assert all(model.model.endswith("-ttl") for model in fleet.models() if model.quirks == ("ignores_ttl",))
