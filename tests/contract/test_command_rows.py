"""A command as a row is the same command again, at the ends of every range."""

from firmware_protocol.commands import CommandKind
from gateway.command_ports import Issued
from tests.support.command_world import PostgresWorld, wish


async def test_every_field_comes_back(database: str) -> None:
    world = PostgresWorld(database)
    now_ms = world.now_ms()
    for number, kind in enumerate(CommandKind):
        new = wish(
            world.device(),
            now_ms,
            kind=kind,
            slot=96 - number,
            settings={"text": "a\\b\"c'é", "number": 2**53, "no": False},
            firmware="",
            requested_by="service:" + "x" * 200,
            claim_id="claim-1",
            openings_before=None if number % 2 else 2**62,
            unit_before="",
        )
        outcome = await world.desk.issue(new)
        assert isinstance(outcome, Issued)
        command = outcome.command
        assert await world.store.reread([command.command_id]) == {command.command_id: command}
        for field in ("command_id", "firmware", "kind", "slot", "settings", "issued_ms", "not_after_ms",
                      "requested_by", "claim_id", "openings_before", "unit_before"):  # fmt: skip
            assert getattr(command, field) == getattr(new, field), field
    await world.close()
