"""Devices that obeyed know the same of themselves as gateway and map do, openings and fences included."""

import asyncio
from pathlib import Path

from bench.faults.obeying_town import living
from cli.api_client import Refused
from cli.stack import Stack
from device_sim.audit_reader import Api, audit_until_settled
from device_sim.fleet import build_fleet
from device_sim.profiles import Kind
from tests.support.unlock_town import servers
from tests.support.waiting import until

ORDERS = {"B": ("unlock", 0), "C": ("eject", 2), "L": ("open_slot", 2)}


def test_after_orders_to_every_kind_the_audit_finds_no_difference(
    stack: Stack, database: str, redis_url: str, tmp_path: Path
) -> None:
    fleet = build_fleet(18, seed=5, secret=b"audit", mix=dict.fromkeys(Kind, 1))
    with servers(stack, database, fleet, tmp_path) as made:
        port = stack.broker.device_port
        with living(fleet, made.keys, port, tmp_path, last_words=True) as town:
            made.town = town
            until(lambda: all(made.knows(one) for one in fleet.device_ids), what="the API knows them")
            commands = []
            for device_id in made.keys:
                kind, slot = ORDERS[device_id[4]]
                try:
                    commands.append(made.issue(device_id, kind, slot=slot))
                except Refused as refused:
                    # Ridden, flat, empty or occupied: the town is as it is.
                    if "reasons" not in refused.problem:
                        raise
            ends = {made.end_of(command)["phase"] for command in commands}
            assert {command["kind"] for command in commands} == {"unlock", "eject", "open_slot"}
        assert ends <= {"confirmed", "refused", "failed"}
        assert "confirmed" in ends
        assert town.result is not None
        assert town.result.summary.executed >= len(commands) / 2
        api = Api(made.client.address, stack.token("operator_admin"))
        found = asyncio.run(audit_until_settled(api, fleet.town.area, town.result))
        assert [str(difference) for difference in found] == []
