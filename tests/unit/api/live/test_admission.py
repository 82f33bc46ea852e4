"""While somebody is being found out, what they say waits; a connection that is gone is not answered."""

import asyncio

from api.auth.api_keys import new_key
from api.auth.doors import Doors
from api.auth.tokens import BadToken
from api.live.admission import Admission, Outcome
from api.live.entrance import HELLO_WITHIN_S, Entrance
from gateway.people import KnownKey
from tests.support.waiting import until_async
from tests.unit.api.surface import NOW_MS, Surface


def _admission() -> tuple[Surface, Admission]:
    surface = Surface(Doors())
    return surface, Admission(Entrance(surface.gate, Doors()), now_s=0.0)


async def test_what_is_said_meanwhile_waits_in_order() -> None:
    surface, admission = _admission()
    heard: list[Outcome] = []
    admission.ask(surface.token("staff"), heard.append)
    admission.held += [b"one", b"two"]
    asking = [admission.is_asking]
    await until_async(lambda: bool(heard))
    asking.append(admission.is_asking)
    assert asking == [True, False]
    assert (admission.take_held(), admission.take_held()) == ([b"one", b"two"], [])
    assert not admission.is_over(now_s=10_000.0)


async def test_who_never_said_is_over_in_time_and_who_is_bad_stays_unknown() -> None:
    _, admission = _admission()
    heard: list[Outcome] = []
    admission.ask("nobody", heard.append)
    await until_async(lambda: bool(heard))
    assert isinstance(heard[0], BadToken)
    assert not admission.is_over(HELLO_WITHIN_S)
    assert admission.is_over(HELLO_WITHIN_S + 0.1)


async def test_a_connection_that_is_gone_hears_nothing() -> None:
    surface, admission = _admission()
    heard: list[Outcome] = []
    admission.ask(surface.token("staff"), heard.append)
    admission.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not heard


async def test_a_conversation_is_its_keys_until_a_token_carries_it_on() -> None:
    surface, admission = _admission()
    made = new_key()
    surface.people.keys[made.key_id] = KnownKey(made.key_id, 1, "service", "wall", made.secret_hash, NOW_MS)
    keys: list[str] = []
    for said in (surface.token("staff"), made.key, surface.token("staff")):
        admission.ask(said, lambda _: keys.append(admission.key))
        await until_async(lambda: not admission.is_asking)
    # What stands here is asked of the gate again every few seconds: a token is not, because it ends by itself.
    assert keys == ["", made.key, ""]
