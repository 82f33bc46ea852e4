"""Commands over a network that delays, remembers, repeats and lies: nothing opens late, twice, or for a stranger."""

from collections.abc import Iterator
from functools import partial

import pytest

from cli.stack import Stack
from device_sim.fleet import password
from firmware_protocol.commands import Ack, AckResult
from firmware_protocol.messages import DeviceId
from firmware_protocol.signature import sign_ack
from firmware_protocol.topics import ack_topic, command_topic
from tests.support.device_client import V5, V311, DeviceClient, device_client
from tests.support.gateway_rig import Bridge, bridge
from tests.support.slow_network import SlowNetwork, slow_network
from tests.support.stored import ask
from tests.support.unlock_town import UnlockTown, unlock_town
from tests.support.waiting import until

NOT_AUTHORIZED = 0x87


@pytest.fixture(scope="module")
def network(stack: Stack) -> Iterator[SlowNetwork]:
    """Between the bikes and their broker."""
    with slow_network(stack.broker.device_port) as made:
        yield made


@pytest.fixture(scope="module")
def town(
    stack: Stack, network: SlowNetwork, shared_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UnlockTown]:
    """Three bikes that do what they are told."""
    folder = tmp_path_factory.mktemp("town")
    with unlock_town(stack, shared_database, folder, (None, None, None), port=network.port) as made:
        yield made


def test_a_frame_that_arrives_after_its_time_is_refused_and_the_gateway_says_so(
    town: UnlockTown, network: SlowNetwork
) -> None:
    device_id = town.device_id(0)
    network.hold()
    command = town.issue(device_id, ttl_s=2)
    assert town.end_of(command)["phase"] == "unconfirmed", "nobody could know"
    network.release()
    town.becomes(command, "refused")
    assert town.client.get(f"/v1/commands/{command['id']}")["reason"] == "expired"
    assert town.executed(command) == []


def test_captured_frames_open_nothing_again_anywhere(town: UnlockTown, stack: Stack) -> None:
    mine, other = town.device_id(1), town.device_id(2)
    with bridge(stack) as wire:
        wire.listen(command_topic(mine))
        command = town.issue(mine)
        _, frame = wire.heard.get(timeout=30)
        assert town.end_of(command)["phase"] == "confirmed"
        flipped = [bytes(byte ^ (1 << bit) if at == place else byte for at, byte in enumerate(frame))
                   for place in range(len(frame)) for bit in (0, 7)]  # fmt: skip
        replay(wire, mine, [frame, *flipped])
        replay(wire, other, [frame])
        heard_everything(town, mine, other)
        assert town.end_of(town.issue(mine, "reboot"))["phase"] == "confirmed"
        replay(wire, mine, [frame])
        heard_everything(town, mine)
    assert len(town.executed(command)) == 1
    (openings,) = {one.device for one in town.executions() if one.kind == 1 and one.device in (mine, other)}
    assert openings == mine
    assert town.client.get("/v1/incidents")["incidents"] == []


def replay(wire: Bridge, device_id: DeviceId, frames: list[bytes]) -> None:
    """Returns once the broker has taken all of them."""
    wire.wait_taken([wire.publish(command_topic(device_id), frame) for frame in frames])


def heard_everything(town: UnlockTown, *devices: DeviceId) -> None:
    """A question that is answered came after all that the broker had taken before."""
    questions = [town.issue(device_id, "query", ttl_s=60) for device_id in devices]
    for question in questions:
        assert town.end_of(question)["phase"] == "confirmed", town.story(question)


def test_nobody_answers_for_another_device(town: UnlockTown, stack: Stack, network: SlowNetwork) -> None:
    victim, liar = town.device_id(0), town.device_id(2)
    network.hold()
    command = town.issue(victim, ttl_s=20)
    town.becomes(command, "sent")
    boot, fence = town.boot(victim), command["fence"]
    answer = Ack(bytes.fromhex(command["id"].replace("-", "")), AckResult.EXECUTED, boot, fence)
    forged = sign_ack(answer, device_id=victim, key=town.keys[liar])
    own = sign_ack(answer, device_id=liar, key=town.keys[liar])
    secret = password(b"trial", liar)
    before = bad_acks(town)
    for version in (V311, V5):
        name = f"liar-{version.name}"
        with device_client(stack.broker.device_port, liar, secret, client_id=name, version=version) as client:
            assert client.welcome
            packets = [client.publish(ack_topic(victim), forged), client.publish(ack_topic(liar), own)]
            until(partial(answered, client, packets))
            assert version is V311 or client.answers[packets[0]] == NOT_AUTHORIZED
    with bridge(stack) as wire:
        # Even with the broker's own rights a wrong key is a wrong key.
        wire.wait_taken([wire.publish(ack_topic(victim), forged)])
    until(lambda: bad_acks(town) == before + 3, what="three answers set aside")
    assert town.client.get(f"/v1/commands/{command['id']}")["phase"] in ("sent", "unconfirmed")
    assert "device_ack" not in [what for what, _ in town.story(command)]
    network.release()
    assert town.end_of(command)["phase"] == "confirmed"


def answered(client: DeviceClient, packets: list[int]) -> bool:
    return set(packets) <= set(client.answers)


def bad_acks(town: UnlockTown) -> int:
    return int(ask(town.dsn, "select count(*) from quarantine where reason = 'bad_ack'")[0][0])
