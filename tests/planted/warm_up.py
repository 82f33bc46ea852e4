"""Not a test of anything: run by the nursery, so that whatever pytest and its plugins load at their first test, and the
packages of others that our modules ask for, are there before the first fork. Nothing of ours may be: it is to be read
with a mistake in it. (A name that is missing here costs each fork the time to load it, and nothing else.)"""

import importlib

from hypothesis import given
from hypothesis import strategies as st

OF_OTHERS = (
    "aiomqtt",
    "cbor2",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.x509",
    "fastapi",
    "httpx",
    "msgspec.json",
    "numpy",
    "paho.mqtt.client",
    "prometheus_client",
    "psycopg_pool",
    "pydantic",
    "pytest_asyncio.plugin",
    "redis.asyncio",
    "rich.console",
    "rich.table",
    "shapely",
    "structlog",
    "typer",
    "uvicorn",
    "uvloop",
    "websockets.asyncio.client",
    "websockets.asyncio.server",
)
for name in OF_OTHERS:
    importlib.import_module(name)


@given(st.lists(st.integers() | st.text() | st.floats(), max_size=3), st.data())
def test_that_much_is_loaded(drawn: list[object], data: st.DataObject) -> None:
    assert data.draw(st.sampled_from([drawn])) == drawn
