"""What devices were promised against what PostgreSQL holds."""

from collections import Counter
from collections.abc import Mapping

import psycopg
from msgspec import Struct

from bench.faults.kept_fleet import FleetTruth

Stamp = tuple[int, int]


class Verdict(Struct, frozen=True):
    """Counts of a trial; all the `wrong` ones must be zero."""

    made: int
    stored: int
    receipted: int
    wrong: Mapping[str, int]
    examples: Mapping[str, str]

    @property
    def holds(self) -> bool:
        return not any(self.wrong.values())

    def __str__(self) -> str:
        said = f"{self.made} made, {self.stored} stored, {self.receipted} receipted"
        return said if self.holds else f"{said}; WRONG: {dict(self.wrong)} {dict(self.examples)}"


def stored_stamps(dsn: str) -> Counter[tuple[str, int, int]]:
    """How often each (device id, boot, seq) stands in history."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "select device.device_id, filed.boot, filed.seq, count(*)"
            " from report_all as filed join device using (device_no) group by 1, 2, 3"
        ).fetchall()
    return Counter({(device_id, boot, seq): count for device_id, boot, seq, count in rows})


def judge(truth: FleetTruth, stored: Counter[tuple[str, int, int]]) -> Verdict:
    """Every kept report is in history exactly once, and no receipt names one that is not."""
    wrong: Counter[str] = Counter()
    examples: dict[str, str] = {}

    def note(what: str, found: set[tuple[str, int, int]]) -> None:
        wrong[what] = len(found)
        if found:
            examples[what] = str(min(found))

    sent = {(device, *stamp) for device, one in truth.devices.items() for stamp in one.stamps}
    receipted = {(device, *stamp) for device, one in truth.devices.items() for stamp in one.receipted}
    note("lost", sent - stored.keys())
    note("receipted but not stored", receipted - stored.keys())
    note("stored twice", {key for key, count in stored.items() if count > 1})
    note("stored but never sent", stored.keys() - sent)
    made = sum(one.made for one in truth.devices.values())
    wrong["made but never sent"] = made - len(sent)
    wrong["kept but never receipted"] = sum(one.waiting for one in truth.devices.values())
    wrong["dropped by devices"] = sum(one.kept_lost for one in truth.devices.values())
    return Verdict(made, stored.total(), len(receipted), dict(wrong), examples)
