"""The verb `sim`: a simulated fleet against a broker, with an audit of what became of it."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from device_sim.audit_reader import Api, AuditUnreadable, audit_until_settled, connection_to
from device_sim.credentials import read_keys
from device_sim.driver import Address
from device_sim.faults import PROFILES as FAULT_PROFILES
from device_sim.fleet import Fleet
from device_sim.live_summary import LiveSummary
from device_sim.misbehaviour import Misbehaviour, parse_misbehaviours
from device_sim.movement import Area, Place
from device_sim.profiles import BadMix
from device_sim.replay import BadTripFile, parse_mapping
from device_sim.run import DRAIN_S, RunPlan, RunResult, run_fleet
from device_sim.scenario import (
    COLUMN_HELP,
    DEFAULT_SPEED,
    REPLAY_HELP,
    Asked,
    Replay,
    Scenario,
    fictional,
    mix_asked,
    replayed,
)

DIFFERENCES_FOUND = 1
NEVER_CONNECTED = 3
AUDIT_UNREADABLE = 4
SHOWN_DIFFERENCES = 20
DEFAULT_DEVICES = 1_000
SECRET_VARIABLE = "LATCHKEY_FLEET_SECRET"
_AUDIT_DRAIN_S = 60.0


HELP = f"""A simulated fleet: bikes, power-bank cabinets and lockers with a life of their own.

The devices must be registered, and the broker must know their passwords: each is derived from the fleet secret
(--list prints them all). Those whose key is in the file of --keys verify commands and obey them. `./latchkey demo`
does all of that by itself.

Exit codes: 0 all went well, {DIFFERENCES_FOUND} the audit found differences, 2 a bad option,
{NEVER_CONNECTED} no device ever connected, {AUDIT_UNREADABLE} the API did not answer the audit.
"""


Devices = Annotated[
    int | None,
    typer.Option(
        min=1, max=200_000, help="How many devices; at most, in a replay.", show_default=str(DEFAULT_DEVICES)
    ),
]
Rate = Annotated[float | None, typer.Option(min=0.001, help="Reports per second of the whole fleet.")]
Seed = Annotated[int, typer.Option(help="The same seed lives the same life.")]
Mix = Annotated[str, typer.Option(help="Weights: bike=84,cabinet=11,locker=5")]
Profile = Annotated[str, typer.Option(help="Of faults: none, city, shuffled or hostile.")]
TripCsv = Annotated[Path | None, typer.Option(help=REPLAY_HELP)]
Columns = Annotated[list[str] | None, typer.Option("--map", help=COLUMN_HELP)]
Misbehave = Annotated[
    list[str] | None,
    typer.Option(
        help=f"NAME or NAME=SHARE, repeatable; devices that treat commands wrongly: {', '.join(Misbehaviour)}."
    ),
]
Keys = Annotated[
    Path | None,
    typer.Option(help="Credentials as `device import` wrote them: whose keys are there obey commands."),
]
Speed = Annotated[float, typer.Option(min=0.1, help="Of a replay: 60 is a minute per second.")]
FromHour = Annotated[float, typer.Option(min=0.0, help="Skip so many hours of the file.")]
Centre = Annotated[str, typer.Option(help="A made-up town around LAT,LON instead of Singapore.")]
Seconds = Annotated[float | None, typer.Option("--for", min=0.0, help="Seconds; else until Ctrl-C.")]
Gather = Annotated[float, typer.Option(min=0.0, help="Seconds that life waits for all to be connected.")]
Broker = Annotated[str, typer.Option(help="HOST:PORT of the devices' listener.")]
SecretEnv = Annotated[str, typer.Option(help="Environment variable that holds the fleet secret.")]
Aiomqtt = Annotated[bool, typer.Option("--aiomqtt", help="One aiomqtt client per device, at most 200.")]
Truth = Annotated[Path | None, typer.Option(help="Append what was sent and confirmed, as JSON lines.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the summary to this file.")]
AuditUrl = Annotated[str, typer.Option("--audit", help="Base URL of an API to compare the truth with.")]
Token = Annotated[
    str, typer.Option(envvar="LATCHKEY_TOKEN", help="For --audit: a bearer token or API key of staff.")
]
ListOnly = Annotated[bool, typer.Option("--list", help="Print models and devices as JSON, run nothing.")]


def sim(
    *,
    devices: Devices = None,
    rate: Rate = None,
    seed: Seed = 1,
    mix: Mix = "",
    profile: Profile = "none",
    misbehave: Misbehave = None,
    keys: Keys = None,
    replay: TripCsv = None,
    column: Columns = None,
    speed: Speed = DEFAULT_SPEED,
    from_hour: FromHour = 0.0,
    centre: Centre = "",
    for_s: Seconds = None,
    gather: Gather = 10.0,
    broker: Broker = "127.0.0.1:1883",
    fleet_secret_env: SecretEnv = SECRET_VARIABLE,
    aiomqtt: Aiomqtt = False,
    truth: Truth = None,
    json_file: JsonFile = None,
    audit_url: AuditUrl = "",
    token: Token = "",
    list_only: ListOnly = False,
) -> None:
    """The verb; its help is HELP."""
    with _said_of_an_option():
        source = Replay(replay, parse_mapping(column or []), from_hour) if replay else None
        weights = mix_asked(mix, bikes_only=replay is not None and devices is None)
        who = Asked(devices or DEFAULT_DEVICES, seed, _secret(fleet_secret_env), weights, _wrong(misbehave))
        scenario = replayed(source, who) if source else fictional(who, centre=_place(centre))
        plan = RunPlan(
            _address(broker),
            rate_per_s=rate,
            for_s=for_s,
            gather_s=gather,
            profile=_fault_profile(profile),
            speed=speed if source else None,
            trips=scenario.trips,
            starts_ms=scenario.starts_ms,
            last_words=bool(audit_url),
            drain_s=_AUDIT_DRAIN_S if audit_url else DRAIN_S,
            aiomqtt=aiomqtt,
            keys=read_keys(keys) if keys else {},
            truth_path=truth,
        )
    if list_only:
        print(fleet_json(scenario.fleet))
        return
    raise typer.Exit(_live(scenario, plan, api=_judged_by(audit_url, token), json_file=json_file))


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command(name="sim", help=HELP)(sim)


def _live(scenario: Scenario, plan: RunPlan, *, api: Api | None, json_file: Path | None) -> int:
    """From the first connection to the audit; the exit code."""
    code, answer = uvloop.run(_run(scenario, plan, api=api))
    _write(json_file, answer)
    return code


async def _run(scenario: Scenario, plan: RunPlan, *, api: Api | None) -> tuple[int, dict[str, object]]:
    """Runs, tells, audits; the exit code and what `--json` writes."""
    console = Console()
    if scenario.file is not None:
        console.print(scenario.file.text(), markup=False, highlight=False, soft_wrap=True)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with LiveSummary(console) as live:
        result = await run_fleet(scenario.fleet, plan, stop=stop, tell=live.tell)
    live.conclude(result.summary)
    answer: dict[str, object] = {"summary": result.summary.as_json()}
    if scenario.file is not None:
        answer["replay"] = asdict(scenario.file)
    code = 0 if result.summary.sent else NEVER_CONNECTED
    if api is not None:
        code = max(
            code,
            await _audit(console, api, area=scenario.fleet.town.area, result=result, answer=answer),
        )
    return code, answer


async def _audit(
    console: Console, api: Api, *, area: Area, result: RunResult, answer: dict[str, object]
) -> int:
    """Prints the differences and notes them in the answer; the exit code."""
    try:
        found = await audit_until_settled(api, area, result)
    except AuditUnreadable as error:
        console.print(f"audit: {error}", highlight=False)
        return AUDIT_UNREADABLE
    answer["differences"] = [str(difference) for difference in found]
    for difference in found[:SHOWN_DIFFERENCES]:
        console.print(f"  {difference}", highlight=False)
    devices = len(result.truths)
    console.print(f"audit of {devices} devices: {len(found) or 'no'} differences", highlight=False)
    return DIFFERENCES_FOUND if found else 0


def fleet_json(fleet: Fleet) -> str:
    """Models and devices with their passwords, as a registry and a broker want them."""
    listed = {
        "models": [asdict(model) for model in fleet.models()],
        "devices": [asdict(device) for device in fleet.devices()],
    }
    return json.dumps(listed, indent=1)


def _write(path: Path | None, answer: dict[str, object]) -> None:
    if path is not None:
        path.write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")


@contextmanager
def _said_of_an_option() -> Iterator[None]:
    """What cannot be used is the asker's to mend: exit code 2 and the sentence."""
    try:
        yield
    except (AuditUnreadable, BadMix, BadTripFile, OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error


def _judged_by(audit_url: str, token: str) -> Api | None:
    """An address that cannot be asked is said before the run, not after it."""
    if not audit_url:
        return None
    api = Api(audit_url, token)
    with _said_of_an_option():
        connection_to(api)
    return api


def _wrong(names: list[str] | None) -> Mapping[Misbehaviour, float]:
    return parse_misbehaviours(names or ())


def _secret(variable: str) -> bytes:
    secret = os.environ.get(variable, "").encode()
    if not secret:
        raise typer.BadParameter(f"set {variable}: the passwords of the devices are derived from it")
    return secret


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"--broker {text}: expected HOST:PORT")
    return Address(host, int(port))


def _place(text: str) -> Place | None:
    if not text:
        return None
    lat, _, lon = text.partition(",")
    return Place(float(lat), float(lon))


def _fault_profile(name: str) -> str:
    if name not in FAULT_PROFILES:
        raise ValueError(f"--profile {name}: expected one of {', '.join(FAULT_PROFILES)}")
    return name
