"""The direct route and the documented one answer alike."""

import httpx

from api.problems import MEDIA_TYPE
from api.routes.nearby import PATH
from api.routing import application
from tests.unit.api.live.entries import entry
from tests.unit.api.surface import serving


async def test_both_ways_give_the_same_answer_and_the_same_problem() -> None:
    async with serving() as surface:
        await surface.put(entry(1))
        plain = application(lambda _: None, web_dir=None)  # type: ignore[arg-type, return-value]  # never entered

        async def with_world(scope: object, receive: object, send: object) -> None:
            scope["state"] = {"world": surface.world()}  # type: ignore[index]  # a scope of ASGI
            await plain(scope, receive, send)  # type: ignore[arg-type]  # likewise

        transport = httpx.ASGITransport(app=with_world)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://here", headers=surface.headers()
        ) as slow:
            for query in ("?lat=31.2304&lon=121.4737", "?lat=31.2304", "?lat=31&lon=121&kinds=ship"):
                one, other = await surface.http.get(PATH + query), await slow.get(PATH + query)
                assert (one.status_code, one.json()) == (other.status_code, other.json())
                assert one.headers["content-type"] == other.headers["content-type"]
        assert (await surface.http.get(PATH)).headers["content-type"] == MEDIA_TYPE
        assert (await surface.http.post(PATH)).status_code == 405
