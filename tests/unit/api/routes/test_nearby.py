"""Nearby over HTTP: filters, distances, and which parameter was wrong."""

import pytest

from api.auth.principal import Principal, Role
from api.live.traits import MapFilter
from api.problems import Problem
from api.routes.nearby import MAX_NEARBY, parse_query
from gateway.core.device import Kind
from geo.point import Point
from tests.unit.api.live.entries import entry
from tests.unit.api.surface import serving

HERE = {"lat": "31.2304", "lon": "121.4737"}


async def test_devices_come_nearest_first_with_their_distance_and_reasons() -> None:
    async with serving() as surface:
        await surface.put(entry(1, lat_e7=312_305_000))
        await surface.put(entry(2))
        await surface.put(entry(3, available=False))
        await surface.put(entry(4, kind=Kind.CABINET, lat_e7=312_304_500))
        await surface.put(entry(5, lat_e7=320_000_000))
        answer = (await surface.http.get("/v1/nearby", params=HERE)).json()
        assert [(one["id"], one["distance_m"]) for one in answer["devices"]] == [
            ("p2", 0.0),
            ("p4", 5.6),
            ("p1", 11.1),
        ]
        assert answer["stale"] is False
        staff = (
            await surface.http.get("/v1/nearby", params={**HERE, "availability": "any", "kinds": "bike"})
        ).json()
        assert [one["id"] for one in staff["devices"]][:2] in (["p2", "p3"], ["p3", "p2"])
        assert {one["id"]: [r["reason"] for r in one["reasons"]] for one in staff["devices"]}["p3"] == [
            "low_battery"
        ]


async def test_an_answer_says_when_the_feed_is_out_of_reach() -> None:
    async with serving() as surface:
        surface.clock.advance(ms=60_000)
        assert (await surface.http.get("/v1/nearby", params=HERE)).json() == {"devices": [], "stale": True}


def _understood(parameters: dict[str, str]) -> tuple[Point, MapFilter]:
    query = parse_query(parameters)
    return query.centre(), query.wanted(Principal(Role.STAFF, "ann", 1))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"lat": "x"}, "lat"),
        ({"lat": "nan"}, "lat, lon"),
        ({"lon": "181"}, "lat, lon"),
        ({"radius_m": "0"}, "radius_m"),
        ({"radius_m": "inf"}, "radius_m"),
        ({"limit": str(MAX_NEARBY + 1)}, "limit"),
        ({"kinds": "ship"}, "kinds"),
        ({"availability": "maybe"}, "availability"),
        ({"min_battery_pct": "-1"}, "min_battery_pct"),
    ],
)
def test_a_wrong_parameter_is_named(wrong: dict[str, str], field: str) -> None:
    with pytest.raises(Problem) as caught:
        _understood({**HERE, **wrong})
    assert [fault.field for fault in caught.value.fields] == [field]


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(Problem) as caught:
        parse_query({"lat": "1"})
    assert [fault.field for fault in caught.value.fields] == ["lon"]


async def test_an_encoded_question_is_the_same_question() -> None:
    async with serving() as surface:
        await surface.put(entry(1))
        plain = await surface.http.get("/v1/nearby?lat=31.23&lon=121.47&kinds=bike,cabinet&limit=1&limit=2")
        coded = await surface.http.get("/v1/nearby?l%61t=31.23&lon=121%2E47&kinds=bike%2Ccabinet&limit=2")
        assert plain.json() == coded.json()
        assert len(plain.json()["devices"]) == 1
