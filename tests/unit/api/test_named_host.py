"""A request for another name is none of ours, whatever it asks."""

from api.auth.doors import doors_of
from api.problems import MEDIA_TYPE
from tests.unit.api.surface import serving


async def test_another_name_is_misdirected_and_our_own_is_not() -> None:
    doors = doors_of("127.0.0.1", hosts=["maps.example"], origins=[], proxies=[])
    async with serving(doors=doors) as surface:
        for host, status in (("evil.example", 421), ("maps.example", 200), ("localhost:9", 200), ("", 421)):
            for path in ("/v1/fleet", "/v1/nearby?lat=31.23&lon=121.47"):
                answer = await surface.http.get(path, headers={"Host": host})
                assert answer.status_code == status, (host, path)
                assert status == 200 or answer.headers["content-type"] == MEDIA_TYPE
