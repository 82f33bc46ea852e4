"""What a person sees who opens bikes that obey, and bikes that do not, through API, gateway and broker."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cli.stack import Stack
from device_sim.misbehaviour import Misbehaviour
from tests.support.unlock_town import UnlockTown, unlock_town
from tests.support.waiting import until

PARTS = (None, *Misbehaviour)


@pytest.fixture(scope="module")
def town(
    stack: Stack, shared_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UnlockTown]:
    """A bike of each kind."""
    with unlock_town(stack, shared_database, tmp_path_factory.mktemp("town"), PARTS) as made:
        yield made


def test_every_bike_is_told_apart_by_what_its_sensors_say(town: UnlockTown) -> None:
    """All at once, since most of the time they make us wait for their end."""
    assert town.town is not None
    device_of = {part: town.town.device_id(number) for number, part in enumerate(PARTS)}
    typed = (None, Misbehaviour.JAMS, Misbehaviour.ACKS_WITHOUT_OPENING)
    with ThreadPoolExecutor(len(PARTS)) as pool:
        orders = {part: pool.submit(town.order, "unlock", device_of[part], "--ttl-s", "5") for part in typed}
        commands = {part: town.issue(device_of[part], ttl_s=3) for part in PARTS if part not in typed}
        ends = {part: pool.submit(town.end_of, command) for part, command in commands.items()}
    phases = {part: end.result()["phase"] for part, end in ends.items()}
    reasons = {part: end.result()["reason"] for part, end in ends.items()}

    said = orders[None].result()
    assert (said.returncode, said.stderr) == (0, "")
    for word in ("sent to the device", "its sensors say", "confirmed: done"):
        assert word in said.stdout
    jammed, pretends = (orders[one].result() for one in typed[1:])
    assert jammed.returncode == 1
    assert "jammed" in jammed.stdout
    assert pretends.returncode == 1, pretends.stdout
    assert "confirmed" not in pretends.stdout

    assert phases[Misbehaviour.REFUSES] == "refused"
    assert reasons[Misbehaviour.REFUSES] == "maintenance"
    for right in (Misbehaviour.OPENS_WITHOUT_ACK, Misbehaviour.ACKS_TWICE, Misbehaviour.EXECUTES_DUPLICATES):
        assert phases[right] == "confirmed"
    until(lambda: town.incidents(commands[Misbehaviour.IGNORES_EXPIRY]) == ["executed_late"])
    for part, command in commands.items():
        assert len(town.executed(command)) == (part is not Misbehaviour.REFUSES), part
        assert "probe" not in str(town.story(command)) or part is Misbehaviour.IGNORES_EXPIRY
    found = town.client.get("/v1/incidents")["incidents"]
    told = {(one["device_id"], one["kind"]) for one in found}
    assert told == {
        (device_of[Misbehaviour.IGNORES_EXPIRY], "executed_late"),
        (device_of[Misbehaviour.ACKS_WITHOUT_OPENING], "evidence_contradicts_ack"),
    }
    for later in (
        Misbehaviour.ACKS_LATE,
        Misbehaviour.LOSES_POWER_BEFORE_ACK,
        Misbehaviour.REBOOTS_REMEMBERING,
    ):
        town.becomes(commands[later], "confirmed")
