"""Both worlds that a contract about commands holds in: the fake one of the unit tests, and PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from tests.support.command_world import FakeWorld, PostgresWorld, World


@pytest.fixture(params=["fake", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "fake":
        yield FakeWorld()
        return
    made = PostgresWorld(request.getfixturevalue("database"))
    yield made
    await made.close()
