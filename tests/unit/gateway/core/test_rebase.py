"""A device whose numbering went back is heard again."""

from firmware_protocol.messages import DeviceId, Report
from gateway.core.advance import Advanced, apply_report
from gateway.core.device import DeviceRecord, Status
from gateway.core.rebase import rebase
from gateway.core.stamped import StampedReport
from tests.support.fakes.samples import BIKE, state

DEVICE = DeviceRecord(1, DeviceId("bike-a"), 1, "bike", Status.ACTIVE, "p", 123_456_789)


def test_after_a_rebase_any_stamp_is_the_newest() -> None:
    before = state(DEVICE.device_id, 7)
    for boot, seq in ((0, 0), (0, 5), (3, 0)):
        step = rebase(before)
        assert not step.announce
        assert (step.after.revision, step.after.entry, step.after.frame) == (8, before.entry, before.frame)
        report = StampedReport(Report(), boot, seq, 0, False, 0, 0, 0, b"")
        assert isinstance(apply_report(step.after, DEVICE, BIKE, report), Advanced)
