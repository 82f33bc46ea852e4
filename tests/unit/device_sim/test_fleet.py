"""A fleet follows from its seed, and can be registered."""

from device_sim.fleet import build_fleet, password
from device_sim.movement import Place
from device_sim.profiles import PROFILES, Kind
from firmware_protocol.topics import checked_device_id


def test_the_same_seed_gives_the_same_fleet() -> None:
    one, other = (build_fleet(500, seed=4, secret=b"s") for _ in range(2))
    assert one.devices() == other.devices()
    assert one.places == other.places
    assert build_fleet(500, seed=5, secret=b"s").places != one.places


def test_the_mix_is_kept_and_every_model_is_described() -> None:
    group = build_fleet(1_000, seed=1, secret=b"s")
    by_kind = {kind: sum(profile.kind is kind for profile in group.profiles) for kind in Kind}
    assert by_kind == {Kind.BIKE: 840, Kind.CABINET: 110, Kind.LOCKER: 50}
    assert {model.model for model in group.models()} == {profile.model for profile in PROFILES}
    assert {device.model for device in group.devices()} == {model.model for model in group.models()}


def test_ids_are_valid_and_nobody_shares_one_or_a_password() -> None:
    devices = build_fleet(1_000, seed=1, secret=b"s").devices()
    for device in devices:
        assert checked_device_id(device.device_id) == device.device_id
    assert len({device.device_id for device in devices}) == len(devices)
    assert len({device.password for device in devices}) == len(devices)
    assert password(b"other", devices[0].device_id) != devices[0].password


def test_what_stands_has_a_home_and_what_moves_has_none() -> None:
    group = build_fleet(100, seed=1, secret=b"s")
    for device, profile in zip(group.devices(), group.profiles, strict=True):
        assert (device.home_lat_e7 is None) == (profile.kind is Kind.BIKE)


def test_bikes_stand_where_they_are_told_to() -> None:
    spots = [Place(1.30, 103.80), Place(1.31, 103.81)]
    group = build_fleet(
        5, seed=1, secret=b"s", mix={Kind.BIKE: 0, Kind.CABINET: 2, Kind.LOCKER: 1}, bike_places=spots
    )
    assert list(group.places[:2]) == spots
    assert [profile.kind for profile in group.profiles] == [Kind.BIKE] * 2 + [Kind.CABINET] * 2 + [
        Kind.LOCKER
    ]


def test_a_town_begins_with_bikes_on_the_road() -> None:
    group = build_fleet(400, seed=1, secret=b"s", mix={Kind.BIKE: 1})
    world = group.world(starts_ms=10**12)
    riding = sum(getattr(life, "riding", False) for life in world.lives)
    assert 10 < riding < 80
