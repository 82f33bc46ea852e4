"""Every request finds the world of its process."""

from fastapi import Request

from api.auth.doors import Doors
from api.world import world_of
from tests.unit.api.surface import Surface


def test_a_request_finds_the_world_that_the_lifespan_gave() -> None:
    world = Surface(Doors()).world()
    assert world_of(Request({"type": "http", "state": {"world": world}})) is world
