"""One message of each sort, by name: what the golden vectors are made from."""

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

BOOT = 1_790_000_000
POWER_ON_ID = 0x9F3A_61C2_07D4_E85B

BIKE = Report(
    boot=BOOT,
    seq=1234,
    elapsed_ms=3_600_123,
    fix=Fix(lat_e7=13_521_000, lon_e7=1_038_198_000, accuracy_m=8.5, age_ms=1200),
    lock=Lock(bolt=Bolt.CLOSED, last_fence=42, openings=310),
    battery_pct=71,
    moving=False,
    signal_dbm=-71,
)

CABINET = Report(
    boot=BOOT,
    seq=88,
    elapsed_ms=86_400_000,
    slots=tuple(
        Slot(
            number=number,
            unit_id=f"PB{20_417_000 + number * 37:08d}" if number not in (4, 9) else None,
            bolt=Bolt.CLOSED if number not in (4, 9) else Bolt.OPEN,
            charge_pct=100 - number * 3 if number not in (4, 9) else None,
            last_fence=number * 5,
            openings=900 + number,
        )
        for number in range(1, 13)
    ),
    signal_dbm=-67,
)

LOCKER = Report(
    boot=BOOT,
    seq=7,
    elapsed_ms=61_000,
    slots=(
        Slot(number=1, door_closed=True, occupied=True, last_fence=3, openings=12),
        Slot(number=2, door_closed=False, occupied=False, openings=4),
        Slot(number=3, door_closed=True, occupied=False, faults=("lamp_dead",)),
    ),
)

REPORTS: dict[str, tuple[str, Report]] = {
    "bike": ("the usual heartbeat of a bike on the full level", BIKE),
    "cabinet_12_slots": ("a power-bank cabinet with two empty slots", CABINET),
    "locker": ("doors and occupancy sensors instead of unit ids; one compartment with a fault", LOCKER),
    "basic_bike": (
        "the basic level: boot left out, seq and reported_at_ms are the device's own Unix milliseconds",
        Report(
            seq=1_790_000_123_456,
            reported_at_ms=1_790_000_123_456,
            fix=Fix(lat_e7=-338_688_000, lon_e7=-1_512_093_000),
            lock=Lock(bolt=Bolt.OPEN),
            battery_pct=0,
        ),
    ),
    "basic_without_clock": ("no clock and no counter: stamped on arrival", Report(battery_pct=55)),
    "empty": ("a heartbeat that says nothing but that the device lives", Report()),
    "kept_return": (
        "kept until receipted; made 1.5 s before the boot number was given, so elapsed_ms is negative",
        Report(
            boot=BOOT,
            seq=1,
            elapsed_ms=-1500,
            keep=True,
            lock=Lock(bolt=Bolt.CLOSED, last_fence=43, openings=311),
            kept_lost=2,
        ),
    ),
    "everything_wrong": (
        "all alarms, faults, a jammed bolt, a firmware text",
        Report(
            boot=BOOT,
            seq=2,
            elapsed_ms=5,
            reported_at_ms=1_790_000_000_005,
            keep=True,
            lock=Lock(bolt=Bolt.BETWEEN),
            charging=True,
            moving=True,
            faults=("motor_stall", "gps_dead"),
            alarms=tuple(Alarm),
            signal_dbm=-150,
            firmware="2.4.1+g3f9c (factory)",
        ),
    ),
    "limits": (
        "every number at its bound",
        Report(
            boot=2**63 - 1,
            seq=2**63 - 1,
            elapsed_ms=-(2**63),
            reported_at_ms=2**63 - 1,
            fix=Fix(lat_e7=-900_000_000, lon_e7=1_800_000_000, accuracy_m=100_000.0, age_ms=30 * 86_400_000),
            slots=(Slot(number=96, unit_id="A" * 32, charge_pct=100, openings=2**63 - 1),),
            battery_pct=100,
            signal_dbm=0,
            kept_lost=2**63 - 1,
        ),
    ),
}

HELLOS: dict[str, tuple[str, Hello]] = {
    "hello": ("said after every connect", Hello(POWER_ON_ID, "bike-x1", "2.4.1")),
    "hello_shortest": ("firmware left out", Hello(0, "m")),
    "hello_of_a_device_that_obeys": (
        "with the device's own time, which the welcome repeats",
        Hello(POWER_ON_ID, "bike-x1", "2.4.1", 8_250),
    ),
    "hello_longest_id": ("all 64 bits of the power-on id set", Hello(2**64 - 1, "cab.12:v2_b-1")),
}

WELCOMES: dict[str, tuple[str, Welcome]] = {
    "welcome": ("the answer to the hello", Welcome(POWER_ON_ID, BOOT, 1_790_000_000_412)),
    "welcome_with_the_time_of_the_hello": (
        "the answer to a hello that said when it was sent",
        Welcome(POWER_ON_ID, BOOT, 1_790_000_000_412, 8_250),
    ),
}

RECEIPTS: dict[str, tuple[str, Receipt]] = {
    "receipt": (
        "full pairs; those of an earlier power-on too",
        Receipt((ReportStamp(BOOT, 1), ReportStamp(BOOT, 2), ReportStamp(BOOT - 86_400, 977))),
    ),
    "receipt_longest": (
        "64 stamps, the most one receipt may carry",
        Receipt(tuple(ReportStamp(BOOT, seq) for seq in range(1, 65))),
    ),
}
