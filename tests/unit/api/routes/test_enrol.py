"""A code is good for one device, once."""

from tests.unit.api.newcomers import BROKER_ADDRESS
from tests.unit.api.surface import serving

NOBODY = {"Authorization": ""}


async def test_a_new_device_is_told_all_it_needs_without_a_token() -> None:
    async with serving() as surface:
        surface.newcomers.codes = {"ABC"}
        answer = await surface.http.post(
            "/v1/enrol", json={"code": "ABC", "device_id": "bike-1"}, headers=NOBODY
        )
        assert answer.status_code == 201
        said = answer.json()
        assert (said["device_id"], said["model"], said["password"]) == ("bike-1", "city-bike", "its password")
        assert (said["key_number"], said["key_hex"]) == (1, bytes(range(32)).hex())
        assert said["broker"] == BROKER_ADDRESS
        assert {topic.rpartition("/")[2] for topic in said["topics"].values()} == set(said["topics"])
        assert all("/bike-1/" in topic for topic in said["topics"].values())


async def test_a_code_is_refused_the_second_time_and_whatever_is_wrong_with_it() -> None:
    async with serving() as surface:
        surface.newcomers.codes = {"ABC"}
        assert (await surface.http.post("/v1/enrol", json={"code": "ABC"})).status_code == 201
        kinds = set()
        for code in ("ABC", "never"):
            answer = await surface.http.post("/v1/enrol", json={"code": code})
            assert answer.status_code == 403
            kinds.add((answer.json()["type"], answer.json()["detail"]))
        assert len(kinds) == 1, "nothing tells a used code from one that never was"


async def test_an_id_that_is_taken_or_impossible_is_refused() -> None:
    async with serving() as surface:
        surface.newcomers.codes, surface.newcomers.taken = {"ABC"}, {"bike-1"}
        for device_id, status in (("bike-1", 409), ("has space", 422), ("lk-x", 422), ("x" * 33, 422)):
            answer = await surface.http.post("/v1/enrol", json={"code": "ABC", "device_id": device_id})
            assert answer.status_code == status, device_id
        assert surface.newcomers.codes == {"ABC"}


async def test_an_address_that_tries_codes_is_slowed_down() -> None:
    async with serving() as surface:
        answers = [await surface.http.post("/v1/enrol", json={"code": f"guess {n}"}) for n in range(40)]
        refused = [one for one in answers if one.status_code == 429]
        assert refused
        assert all(int(one.headers["Retry-After"]) >= 1 for one in refused)
