"""A gateway that stops in its tracks, loses its lanes to another, and wakes up believing that they are its own."""

from pathlib import Path

from cli.stack import Stack
from tests.support.processes import running
from tests.support.stored import ask
from tests.support.unlock_town import unlock_town


def test_who_slept_through_the_end_of_its_lease_opens_nothing(
    stack: Stack, database: str, redis_url: str, tmp_path: Path
) -> None:
    with unlock_town(stack, database, tmp_path, (None,) * 4) as town:
        before = town.issue(town.device_id(0))
        town.becomes(before, "accepted")
        town.gateway.freeze()
        waiting = town.issue(town.device_id(1))
        # By the database's clock the lease is over; the sleeper's own clock says nothing of the kind.
        ask(database, "update lease set expires_at = now() - interval '1 second'")
        environment = stack.environment(dsn=database) | {"LATCHKEY_GATEWAY_NAME": "gateway-2"}
        with running("gateway", environment, tmp_path / "second"):
            town.becomes(waiting, "confirmed")
            town.gateway.thaw()
            later = town.issue(town.device_id(2))
            for command in (before, later):
                town.becomes(command, "confirmed")
            owners = {detail["owner"] for what, detail in town.story(waiting) if what == "claimed"}
            assert owners == {"gateway-2"}
            for command in (before, waiting, later):
                assert [one.fence for one in town.executed(command)] == [command["fence"]]
            town.gateway.stop()
            after = town.issue(town.device_id(3))
            town.becomes(after, "confirmed")
            assert len(town.executions()) == 4
            assert town.client.get("/v1/incidents")["incidents"] == []
