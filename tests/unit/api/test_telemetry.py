"""Figures have a closed set of labels."""

from tests.unit.api.live.entries import entry
from tests.unit.api.surface import figures, requests_in, serving


async def test_requests_are_counted_by_route_and_never_by_what_the_client_wrote() -> None:
    async with serving() as surface:
        await surface.put(entry(1))
        for path in ("/v1/devices/one", "/v1/devices/two", "/nowhere", "/v1/fleet"):
            await surface.http.get(path)
        families = await figures(surface)
        counted = requests_in(families)
        assert counted == {("/v1/devices/{id}", "4xx"): 2, ("other", "4xx"): 1, ("/v1/fleet", "2xx"): 1}
        assert families["latchkey_api_view_devices"].samples[0].value == 1
        assert families["latchkey_api_feed_stale"].samples[0].value == 0
