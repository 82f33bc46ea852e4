"""Every valid message, for hypothesis."""

from hypothesis import strategies as st

from firmware_protocol.commands import Ack, AckResult, Command, CommandKind
from firmware_protocol.limits import MAX_ACCURACY_M, MAX_FIX_AGE_MS
from firmware_protocol.messages import (
    Alarm,
    Bolt,
    Fix,
    Hello,
    Lock,
    Receipt,
    Report,
    ReportStamp,
    Slot,
    Welcome,
)

uint63 = st.integers(0, 2**63 - 1)
int64 = st.integers(-(2**63), 2**63 - 1)
ids = st.text("ABCXYZabcxyz019._:-", min_size=1, max_size=32)
texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=48)
faults = st.lists(st.text("abcz019_", min_size=1, max_size=24), max_size=4).map(tuple)
booleans = st.none() | st.booleans()
percents = st.none() | st.integers(0, 100)

fixes = st.builds(
    Fix,
    lat_e7=st.integers(-900_000_000, 900_000_000),
    lon_e7=st.integers(-1_800_000_000, 1_800_000_000),
    accuracy_m=st.floats(0.0, MAX_ACCURACY_M),
    age_ms=st.integers(0, MAX_FIX_AGE_MS),
)
locks = st.builds(Lock, bolt=st.sampled_from(Bolt), last_fence=uint63, openings=uint63)
slots = st.builds(
    Slot,
    number=st.integers(1, 96),
    unit_id=st.none() | ids,
    bolt=st.none() | st.sampled_from(Bolt),
    door_closed=booleans,
    occupied=booleans,
    charge_pct=percents,
    last_fence=uint63,
    openings=uint63,
    faults=faults,
)
_content = {
    "keep": st.booleans(),
    "fix": st.none() | fixes,
    "lock": st.none() | locks,
    "slots": st.lists(slots, max_size=4, unique_by=lambda slot: slot.number).map(tuple),
    "battery_pct": percents,
    "charging": booleans,
    "moving": booleans,
    "faults": faults,
    "alarms": st.lists(st.sampled_from(Alarm), max_size=4).map(tuple),
    "signal_dbm": st.none() | st.integers(-150, 0),
    "firmware": st.none() | texts,
    "kept_lost": uint63,
}
basic_reports = st.builds(
    Report, seq=st.none() | uint63, elapsed_ms=st.none() | int64, reported_at_ms=st.none() | int64, **_content
)
full_reports = st.builds(
    Report,
    boot=st.integers(1, 2**63 - 1),
    seq=uint63,
    elapsed_ms=int64,
    reported_at_ms=st.none() | int64,
    **_content,
)
reports = basic_reports | full_reports
hellos = st.builds(
    Hello, power_on_id=st.integers(0, 2**64 - 1), model=ids, firmware=texts, hello_sent_ms=st.none() | int64
)
welcomes = st.builds(
    Welcome,
    power_on_id=st.integers(0, 2**64 - 1),
    boot=st.integers(1, 2**63 - 1),
    server_time_ms=uint63,
    hello_sent_ms=st.none() | int64,
)
receipts = st.builds(
    Receipt, st.lists(st.builds(ReportStamp, uint63, uint63), min_size=1, max_size=64).map(tuple)
)
codes = st.text("abcz019_", min_size=1, max_size=24)
commands = st.builds(
    Command,
    command_id=st.binary(min_size=16, max_size=16),
    boot=st.integers(1, 2**63 - 1),
    fence=st.integers(1, 2**63 - 1),
    not_after_s=st.integers(1, 2**33),
    kind=st.sampled_from(CommandKind),
    slot=st.integers(0, 96),
    settings=st.dictionaries(
        codes,
        st.booleans() | int64 | st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=64),
        max_size=16,
    ),
)
acks = st.builds(
    Ack,
    command_id=st.binary(min_size=16, max_size=16),
    result=st.sampled_from(AckResult),
    boot=uint63,
    fence=uint63,
    slot=st.integers(0, 96),
    reason=st.none() | codes,
    elapsed_ms=st.none() | int64,
)
