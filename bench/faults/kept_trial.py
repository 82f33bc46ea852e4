"""Trials in which correct devices report kept reports while something goes wrong around them."""

from collections.abc import Callable
from random import Random

from msgspec import Struct

from bench.faults.findings import Findings
from bench.faults.kept_fleet import FleetTruth
from bench.faults.nemeses import Nemesis
from bench.faults.rig import Rig, rigged
from bench.faults.trial import Play, Scene
from bench.faults.verdict import judge, stored_stamps

DRAIN_S = 120.0
"""Long beyond every back-off of a device whose clock runs twenty times as fast; a busy machine may need it."""

DRAINED_WITHIN_S = 25.0

LONG_S = 30.0

Check = Callable[[Rig, FleetTruth], None]
"""A look at the end of a trial; notes what it finds in the rig's findings."""


class KeptLoad(Struct, frozen=True, kw_only=True):
    """What the devices do, and what their own network and power do to them."""

    rate_per_s: float
    devices: int = 100
    many_devices: int = 0
    """How many in a trial of half a minute or longer; 0 for as many as in a short one."""
    drop_share: float = 0.0
    copies: int = 1
    poison_share: float = 0.0
    lose_power_every_s: float = 0.0
    device_clock_speed: float = 20.0


def kept(nemesis: Nemesis, load: KeptLoad, *checks: Check) -> Play:
    """Breaks, heals, waits until the devices have what they were promised, and judges."""

    def play(scene: Scene) -> Findings:
        many = scene.seconds >= LONG_S and load.many_devices
        with rigged(scene, devices=many or load.devices) as rig:
            truth = _run(rig, load, scene, nemesis)
            verdict = judge(truth, stored_stamps(rig.dsn))
            findings = rig.findings
            findings.take(verdict.wrong, verdict.examples)
            findings.said.append(str(verdict))
            findings.measure("drained, s", truth.drained_in_s, at_most=DRAINED_WITHIN_S)
            findings.said.append(f"gateway at most {rig.gateway_rss_bytes(peak=True) / 2**20:.0f} MiB")
            for check in checks:
                check(rig, truth)
            return findings

    return play


def _run(rig: Rig, load: KeptLoad, scene: Scene, nemesis: Nemesis) -> FleetTruth:
    plan = {name: getattr(load, name) for name in load.__struct_fields__ if not name.endswith("devices")}
    with rig.fleet(**plan, seconds=scene.seconds, drain_s=DRAIN_S, seed=scene.seed) as fleet:
        rig.findings.strikes = nemesis(rig, Random(scene.seed), scene.seconds)
        return fleet.conclude(within_s=scene.seconds + DRAIN_S + 60)


def reports_were_dropped(rig: Rig, truth: FleetTruth) -> None:
    """The network was as bad as it was meant to be."""
    rig.findings.count("no report was dropped on the way", truth.dropped == 0)


def poison_was_set_aside(rig: Rig, truth: FleetTruth) -> None:
    """Every poisoned frame is in quarantine, once, and nothing else is."""
    malformed = rig.number("select count(*) from quarantine where reason = 'malformed'")
    rig.findings.expect("malformed frames in quarantine", malformed, truth.poisoned)
    counted = rig.page.metric('latchkey_quarantined_frames_total{reason="malformed"}')
    rig.findings.expect("malformed frames counted", counted, truth.poisoned)
    rig.findings.expect("gateway restarts", rig.gateway.running, True)
