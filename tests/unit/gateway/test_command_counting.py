"""What commands count."""

from gateway import telemetry
from gateway.command_counting import MAX_FIRMWARES, MAX_MODELS, OTHER, Labels, MetricCommandCounters
from gateway.core.command import Phase
from tests.support.fakes.command_gateway import CommandGateway


def value(name: str, **labels: str) -> float:
    return telemetry.REGISTRY.get_sample_value(name, labels) or 0.0


def test_labels_stay_a_closed_set_whatever_devices_say() -> None:
    labels = Labels(3)
    assert [labels.name(text) for text in ("a", "b", "", "c", "d", "a")] == ["a", "b", OTHER, "c", OTHER, "a"]
    assert (MAX_MODELS + 1) * (MAX_FIRMWARES + 1) < 1_000


async def test_a_confirmed_command_counts_with_its_time() -> None:
    gateway, counters = CommandGateway(), MetricCommandCounters()
    command = await gateway.sent()
    await gateway.senses(1, 101)
    gateway.clock.advance(ms=500)
    labels = {"model": "bike", "firmware": "1.0"}
    before = value("latchkey_command_seconds_count", **labels)
    counters.ended(gateway.row(command))
    assert value("latchkey_command_seconds_count", **labels) == before + 1
    assert value("latchkey_commands_total", kind="unlock", phase=Phase.CONFIRMED.value) >= 1


def test_everything_else_is_counted_by_name() -> None:
    counters = MetricCommandCounters()
    before = [
        value("latchkey_command_incidents_total", kind="executed_late"),
        value("latchkey_refused_acks_total", reason=OTHER),
        value("latchkey_command_frames_total", copy="again"),
    ]
    counters.incident("executed_late")
    counters.ack_refused("something a device made up")
    counters.sent(again=True)
    counters.open_now(7)
    after = [
        value("latchkey_command_incidents_total", kind="executed_late"),
        value("latchkey_refused_acks_total", reason=OTHER),
        value("latchkey_command_frames_total", copy="again"),
    ]
    assert [one + 1 for one in before] == after
    assert value("latchkey_commands_open") == 7
