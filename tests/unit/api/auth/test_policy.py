"""Every endpoint of the document, asked by everybody: who may is answered, who may not is refused, none is left out."""

from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from api.auth.gate import Gate
from api.auth.policy import ROUTES, Openness, admitted
from api.auth.principal import Role
from api.problems import MEDIA_TYPE, Problem
from api.routing import application
from tests.support.plain_http import NO_TLS
from tests.unit.api.live.entries import entry
from tests.unit.api.surface import Surface, known, serving

DEVICE = "d1"
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/v1/devices/{id}/commands"): {"kind": "query"},
    ("POST", "/v1/commands/{id}/cancel"): {"why": "test"},
    ("POST", "/v1/commands/{id}/abandon"): {"why": "test"},
}
QUERIES = {"/v1/nearby": "?lat=31.23&lon=121.47"}
ABSENT = "0190a5d2-7f10-7000-8000-000000000000"


def document() -> dict[str, Any]:
    return application(lambda _: None, web_dir=None).openapi()  # type: ignore[arg-type, return-value]  # never entered


OPERATIONS = [
    (method.upper(), path) for path, methods in sorted(document()["paths"].items()) for method in methods
]


def test_every_endpoint_stands_in_the_table_and_every_line_of_it_is_an_endpoint() -> None:
    assert set(OPERATIONS) | {("GET", "/v1/live")} == set(ROUTES)


def test_what_is_not_in_the_table_nobody_may_ask() -> None:
    assert admitted("GET", "/v1/forgotten") == frozenset()
    assert admitted("DELETE", "/v1/devices/{id}") == frozenset()


async def test_a_route_that_was_forgotten_answers_403(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(ROUTES, ("GET", "/v1/fleet"))
    async with serving() as surface:
        answer = await surface.http.get("/v1/fleet")
    assert (answer.status_code, answer.headers["content-type"]) == (403, MEDIA_TYPE)


def test_only_what_says_nothing_of_an_operator_is_open() -> None:
    public = {path for (_, path), who in ROUTES.items() if who is Openness.PUBLIC}
    assert not any(path.startswith("/v1/") for path in public)


async def _ask(surface: Surface, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    name = ABSENT if path.startswith("/v1/commands") else DEVICE
    url = path.replace("{id}", name) + QUERIES.get(path, "")
    async with httpx.AsyncClient(
        base_url=str(surface.http.base_url), trust_env=False, verify=NO_TLS, timeout=30
    ) as http:
        extra = {"Idempotency-Key": "one-and-only"} if method == "POST" else {}
        return await http.request(method, url, headers=headers | extra, json=BODIES.get((method, path)))


def _expected(method: str, path: str, role: str | None) -> set[int]:
    """Statuses that are right; who may is answered by the route, whatever it makes of our question."""
    who = ROUTES[method, path]
    answered = {200, 201, 400, 404, 409, 422, 503}
    if isinstance(who, Openness):
        return answered | {204, 401, 403}
    if role is None:
        return {401}
    return answered if Role(role) in who else {403}


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_everybody_gets_what_the_table_says(method: str, path: str) -> None:
    async with serving() as surface:
        surface.truth.registered = [known(DEVICE), known("other-1", operator_id=2)]
        await surface.put(entry(1))
        askers = {
            "owner's staff": (surface.headers("staff"), "staff"),
            "rider": (surface.headers("rider"), "rider"),
            "admin": (surface.headers("operator_admin"), "operator_admin"),
            "service": (surface.headers("service"), "service"),
            "nobody": ({}, None),
            "expired": (surface.headers("operator_admin", life_s=-60), None),
            "forged": ({"Authorization": "Bearer x.y.z"}, None),
            "other scheme": ({"Authorization": "Basic YWRtaW46YWRtaW4="}, None),
        }
        for who, (headers, role) in askers.items():
            answer = await _ask(surface, method, path, headers)
            assert answer.status_code in _expected(method, path, role), (who, answer.status_code, answer.text)
            if (
                answer.status_code == 401
                and path.startswith("/v1/")
                and not isinstance(ROUTES[method, path], Openness)
            ):
                assert answer.headers["www-authenticate"].startswith("Bearer ")
                assert answer.headers["content-type"] == MEDIA_TYPE


@pytest.mark.parametrize(("method", "path"), [one for one in OPERATIONS if "{id}" in one[1]])
async def test_another_operators_device_is_as_absent_as_none(method: str, path: str) -> None:
    async with serving() as surface:
        surface.truth.registered = [known(DEVICE)]
        await surface.put(entry(1))
        theirs = await _ask(surface, method, path, surface.headers("operator_admin", operator_id=2))
        surface.truth.registered = []
        absent = await _ask(surface, method, path, surface.headers("operator_admin", operator_id=2))
        wanted = 403 if isinstance(ROUTES[method, path], Openness) else 404
        assert theirs.status_code == absent.status_code == wanted
        assert theirs.json() == absent.json()


async def test_lists_show_ones_own_operator_alone() -> None:
    async with serving() as surface:
        surface.truth.registered = [known("mine"), known("theirs", operator_id=2)]
        await surface.put(entry(1))
        other = surface.headers("operator_admin", operator_id=2)
        assert [one["id"] for one in (await surface.http.get("/v1/devices")).json()["devices"]] == ["mine"]
        listed = (await surface.http.get("/v1/devices", headers=other)).json()["devices"]
        assert [one["id"] for one in listed] == ["theirs"]
        assert (await surface.http.get("/v1/fleet", headers=other)).json()["devices"] == 0
        near = await surface.http.get("/v1/nearby?lat=31.2304&lon=121.4737&radius_m=10000", headers=other)
        assert near.json()["devices"] == []


@pytest.mark.parametrize("role", [*Role, None])
async def test_the_map_is_for_everybody_with_a_token(role: Role | None) -> None:
    async with serving() as surface:
        headers = surface.headers(role) if role else {"Authorization": "Bearer nothing"}
        url = f"ws://127.0.0.1:{surface.port}/v1/live"
        if role is None:
            with pytest.raises(InvalidStatus) as refused:
                async with connect(url, proxy=None, additional_headers=headers):
                    raise AssertionError("unreachable")
            assert refused.value.response.status_code == 401
        else:
            async with connect(url, proxy=None, additional_headers=headers) as socket:
                await socket.send('{"type":"watch","id":1,"box":[121,31,122,32]}')
                assert '"snapshot"' in str(await socket.recv())


async def test_a_store_that_is_away_is_said_and_nobody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as surface:
        surface.people.is_away = True
        key = "lk_abcdefghijkl_" + "A" * 43
        answer = await surface.http.get("/v1/fleet", headers={"Authorization": f"Bearer {key}"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        with pytest.raises(Problem):
            await Gate.principal_of(surface.gate, [])
