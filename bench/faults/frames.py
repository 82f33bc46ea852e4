"""Reports of devices whose frames are made here, one by one, to be sent in any order and number."""

from collections.abc import Sequence

from bench.faults.flood import Message, flood
from bench.faults.rig import TRIAL_MODEL, Rig
from bench.faults.waiting import NeverCame, wait_for
from firmware_protocol.codec import Encoding, encode_hello, encode_report
from firmware_protocol.messages import Bolt, DeviceId, Fix, Hello, Lock, Report
from firmware_protocol.topics import hello_topic, report_topic

MAX_HELLOS, HELLO_AGAIN_S = 30, 2.0


def greet(rig: Rig, power_on: int = 1) -> dict[DeviceId, int]:
    """Powers every device of the rig on; returns the boot number each was given."""
    device_ids = [DeviceId(device_id) for device_id in rig.passwords]
    hellos: list[Message] = []
    for number, device_id in enumerate(device_ids):
        hello = Hello(power_on * 1_000_000 + number, TRIAL_MODEL.model)
        hellos.append((hello_topic(device_id), encode_hello(hello, encoding=Encoding.CBOR)))
    asked = (
        f"select device_id, boot from device where power_on_id between {power_on * 1_000_000}"
        f" and {power_on * 1_000_000 + 999_999}"
    )
    for tries_left in reversed(range(MAX_HELLOS)):
        flood(rig.stack.broker, hellos)
        try:
            wait_for(
                "a boot number for every device",
                lambda: len(rig.rows(asked)) == len(device_ids),
                within_s=HELLO_AGAIN_S,
            )
            break
        except NeverCame:
            # A device gets one boot number a second at most: who asks too soon asks again.
            if not tries_left:
                raise
    return {DeviceId(device_id): boot for device_id, boot in rig.rows(asked)}


def state(seq: int, *, boot: int = 0, elapsed_ms: int | None = None, **more: object) -> Report:
    """A bike's whole state; `more` as in Report."""
    said: dict[str, object] = {
        "seq": seq,
        "boot": boot,
        "elapsed_ms": (seq if boot else None) if elapsed_ms is None else elapsed_ms,
        "fix": Fix(13_000_000 + seq % 400 * 100, 1_038_000_000, accuracy_m=6.0),
        "lock": Lock(Bolt.CLOSED),
        "battery_pct": 80,
        **more,
    }
    return Report(**said)  # type: ignore[arg-type]  # fields by name, checked by the encoder


def message(device_id: DeviceId, report: Report) -> Message:
    """As this device would publish it."""
    return report_topic(device_id), encode_report(report, encoding=Encoding.CBOR)


def log_of(boots: dict[DeviceId, int], rows: int) -> list[Message]:
    """So many reports in the order they were made, evenly spread over the devices."""
    device_ids = list(boots)
    return [
        message(device_id, state(1 + index // len(device_ids), boot=boots[device_id]))
        for index in range(rows)
        for device_id in (device_ids[index % len(device_ids)],)
    ]


def wait_applied(rig: Rig, reports: int, *, within_s: float = 120.0) -> None:
    """Until the gateway has stored, applied and acknowledged so many reports. Raises NeverCame."""
    wait_for(
        f"{reports} reports applied",
        lambda: rig.page.total("latchkey_reports_total") >= reports,
        within_s=within_s,
    )


def send(rig: Rig, messages: Sequence[Message]) -> None:
    """All of them to the broker; each must have had a reader."""
    published = flood(rig.stack.broker, messages)
    rig.findings.expect("messages confirmed by the broker", published.confirmed, len(messages))
    rig.findings.count("messages without a reader", published.unmatched)
