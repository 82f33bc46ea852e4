"""What the pages for operators name exists: settings, metrics, reasons, migrations."""

import dataclasses
import re
from io import StringIO
from pathlib import Path

from device_sim.replay import parse_trips
from gateway import telemetry
from gateway.settings import Settings
from tests.unit.api.surface import serving

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operating.md").read_text()
SOURCES = ("api", "bench", "cli", "device_sim", "gateway")


def code() -> str:
    """Every line of the program, and its start script."""
    files = [path for package in SOURCES for path in sorted((ROOT / package).rglob("*.py"))]
    return "\n".join(path.read_text() for path in [*files, ROOT / "latchkey"])


def test_every_setting_of_the_gateway_is_on_the_page() -> None:
    wanted = {f"LATCHKEY_{field.name.upper()}" for field in dataclasses.fields(Settings)}
    assert wanted - set(re.findall(r"`(LATCHKEY_[A-Z_]+)`", PAGE)) == set()


def test_every_setting_on_the_page_is_read_somewhere() -> None:
    text = code()
    named = set(re.findall(r"LATCHKEY_[A-Z_]+", PAGE))
    # The gateway's reader adds the prefix itself.
    unread = {
        name for name in named if name not in text and f'"{name.removeprefix("LATCHKEY_")}"' not in text
    }
    assert unread == set()


async def test_every_metric_on_the_page_is_exposed_by_the_process_that_counts_it() -> None:
    families = telemetry.REGISTRY.collect()
    exposed = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    async with serving() as surface:
        said = (await surface.http.get("/metrics")).text
    of_the_api = set(re.findall(r"^# TYPE (latchkey_api_[a-z_]+) ", said, re.MULTILINE))
    assert set(re.findall(r"`(latchkey_[a-z_]+)", PAGE)) - exposed - of_the_api == set()


def test_every_reason_of_the_quarantine_is_one_the_code_gives() -> None:
    table = PAGE.partition("## Quarantine")[2].partition("\n## ")[0]
    reasons = set(re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE))
    text = code()
    assert len(reasons) == 7
    assert {reason for reason in reasons if f'"{reason}"' not in text} == set()


def test_the_trips_on_the_page_can_be_replayed_and_the_readmes_name_their_columns() -> None:
    part = PAGE.partition("### Trips of a file")[2].partition("\n## ")[0]
    example = "\n".join(re.findall(r"^    (.+)$", part, re.MULTILINE))
    (trip,) = parse_trips(StringIO(example), {}).trips
    assert trip.ends_ms - trip.starts_ms == 750_000
    # Whoever tries `--replay` first looks at the line there and takes its words for the names of columns.
    for readme in ("README.md", "README.zh-CN.md"):
        (line,) = re.findall(r"^\./latchkey demo --replay .*$", (ROOT / readme).read_text(), re.MULTILINE)
        assert line.endswith(example.splitlines()[0])


def test_every_migration_is_described() -> None:
    files = (ROOT / "gateway" / "stores" / "migrations").glob("*.sql")
    names = {
        path.name.removesuffix(".sql").removesuffix(".plain").removesuffix(".timescale") for path in files
    }
    described = re.findall(r"^\| (\d{4}_\w+) \|", (ROOT / "docs" / "history.md").read_text(), re.MULTILINE)
    assert sorted(described) == sorted(names)
