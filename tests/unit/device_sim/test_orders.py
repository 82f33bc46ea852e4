"""What an order does to a life, and that life goes on afterwards."""

from random import Random

import pytest

from device_sim.bike import Bike
from device_sim.cabinet import Cabinet
from device_sim.fleet import build_fleet
from device_sim.happenings import Trip
from device_sim.locker import Locker
from device_sim.orders import Orders
from device_sim.profiles import Kind
from device_sim.world import World
from firmware_protocol.commands import AckResult, Command, CommandKind
from firmware_protocol.messages import Bolt

START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000


def ordered(kind: CommandKind, slot: int = 0, **settings: bool | int | str) -> Command:
    return Command(bytes(16), 1, 1, 1, kind, slot, settings)


def town(kind: Kind, *, devices: int = 1, seed: int = 1) -> tuple[World, Orders]:
    world = build_fleet(devices, seed=seed, secret=b"s", mix={kind: 1}).world(starts_ms=START_MS)
    return world, Orders(world, Random(seed), life_speed=1.0)


def parked(world: World) -> Bike:
    (bike,) = world.lives
    assert isinstance(bike, Bike)
    bike.end_ride(world.now_ms, Random(1))
    bike.service(world.now_ms)
    return bike


def test_who_was_opened_is_ridden_or_closed_and_both_happen() -> None:
    ends = set()
    for seed in range(20):
        world, orders = town(Kind.BIKE, seed=seed)
        bike = parked(world)
        opened = bike.openings
        deed = orders.carry_out(0, ordered(CommandKind.UNLOCK))
        assert (deed.result, bike.openings, bike.unlocked) == (AckResult.EXECUTED, opened + 1, True)
        world.skip(world.now_ms + 91_000)
        ends.add(bike.riding)
        world.skip(world.now_ms + 230_000)
        assert bike.openings == opened + 1, "nobody takes it without a command so soon"
        world.skip(world.now_ms + 2 * HOUR_MS)
        assert not bike.unlocked
    assert ends == {True, False}


def test_who_was_opened_by_command_lives_on_as_often_as_before() -> None:
    world, orders = town(Kind.BIKE, devices=200)
    for index in range(200):
        orders.carry_out(index, ordered(CommandKind.UNLOCK))
    opened = sum(bike.openings for bike in world.lives if isinstance(bike, Bike))
    world.skip(world.now_ms + 10 * HOUR_MS)
    rides = sum(bike.openings for bike in world.lives if isinstance(bike, Bike)) - opened
    # A ride about every hour and forty minutes each.
    assert 200 * 3 < rides < 200 * 9


def test_an_open_bolt_opens_no_more_and_a_lock_closes_it() -> None:
    world, orders = town(Kind.BIKE)
    bike = parked(world)
    orders.carry_out(0, ordered(CommandKind.UNLOCK))
    opened = bike.openings
    assert orders.carry_out(0, ordered(CommandKind.UNLOCK)).result is AckResult.EXECUTED
    assert bike.openings == opened
    orders.carry_out(0, ordered(CommandKind.LOCK))
    report = bike.report(world.now_ms, Random(1), keep=True)
    assert report.lock is not None
    assert report.lock.bolt is Bolt.CLOSED


def test_a_stuck_bolt_stays_stuck_until_it_is_serviced() -> None:
    world, orders = town(Kind.BIKE)
    bike = parked(world)
    bike.fault = "bolt_jammed"
    assert orders.carry_out(0, ordered(CommandKind.UNLOCK))[:2] == (AckResult.FAILED, "jammed")
    bike.service(world.now_ms)
    assert orders.carry_out(0, ordered(CommandKind.UNLOCK)).result is AckResult.EXECUTED


def test_who_is_ridden_does_not_close() -> None:
    world, orders = town(Kind.BIKE)
    bike = parked(world)
    ride = Trip(0, world.now_ms, world.now_ms + HOUR_MS, bike.place, bike.place)
    list(world._real_ride(bike, ride))
    assert orders.refusal(0, ordered(CommandKind.LOCK)) == "in_motion"


def test_an_ejected_bank_is_with_a_rider_and_comes_back() -> None:
    world, orders = town(Kind.CABINET, devices=2)
    cabinet = world.lives[0]
    assert isinstance(cabinet, Cabinet)
    number = next(number for number, bank in enumerate(cabinet.banks) if bank is not None)
    bank, opened = cabinet.banks[number], cabinet.openings[number]
    assert bank is not None
    assert orders.carry_out(0, ordered(CommandKind.EJECT, number + 1)).result is AckResult.EXECUTED
    assert (cabinet.banks[number], cabinet.openings[number]) == (None, opened + 1)
    assert bank.unit_id in world.pockets
    assert orders.refusal(0, ordered(CommandKind.EJECT, number + 1)) == "slot_empty"
    world.skip(world.now_ms + 230_000)
    assert cabinet.openings[number] == opened + 1, "the slot is left alone for a while"
    world.skip(world.now_ms + 48 * HOUR_MS)
    assert len(set(world.bank_ids())) == len(world.bank_ids())
    assert cabinet.openings[number] > opened + 1


def test_a_door_opens_and_closes() -> None:
    world, orders = town(Kind.LOCKER)
    (locker,) = world.lives
    assert isinstance(locker, Locker)
    opened = locker.openings[4]
    locker.open_doors.clear()
    assert orders.carry_out(0, ordered(CommandKind.OPEN_SLOT, 5)).result is AckResult.EXECUTED
    assert (4 in locker.open_doors, locker.openings[4]) == (True, opened + 1)
    world.skip(world.now_ms + 46_000)
    assert 4 not in locker.open_doors


@pytest.mark.parametrize("kind", list(Kind))
def test_the_heartbeat_can_be_set_and_nothing_else(kind: Kind) -> None:
    world, orders = town(kind)
    good = ordered(CommandKind.CONFIGURE, heartbeat_s=60)
    assert orders.refusal(0, good) is None
    assert orders.carry_out(0, good).result is AckResult.EXECUTED
    assert world.lives[0].heartbeat_s == 60
    for settings in ({"heartbeat_s": 1}, {"heartbeat_s": "60"}, {"colour": 3}):
        assert orders.refusal(0, ordered(CommandKind.CONFIGURE, **settings)) == "bad_setting"
