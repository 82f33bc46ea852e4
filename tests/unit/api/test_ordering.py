"""An order is judged by the device as it is, whatever was at hand."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from msgspec import structs

from api.auth.principal import Principal, Role
from api.ordering import order_of
from api.ports import KnownDevice
from api.problems import Problem
from api.world import World
from firmware_protocol.commands import CommandKind
from gateway.command_ports import DeviceChanged, IssueOutcome, NewCommand
from gateway.commands.issue import Wish, issue
from gateway.core.device import Status
from tests.unit.api.routes.test_commands import DEVICE, a_bike
from tests.unit.api.surface import Surface

STAFF = Principal(Role.STAFF, "ines", 1)


class Remembered:
    """Implements `DevicesInMemory` with one device as it once was."""

    def __init__(self, known: KnownDevice) -> None:
        self._known = known
        self.doubted: list[str] = []

    def doubt(self, name: str) -> None:
        self.doubted.append(name)

    async def find(self, name: str, *, operator_id: int) -> KnownDevice | None:
        return self._known


def world_with(surface: Surface, change: Callable[[KnownDevice], KnownDevice]) -> World:
    """What is at hand is older than what PostgreSQL has."""
    return replace(surface.world(), at_hand=Remembered(change(surface.truth.registered[0])))


def unlock(known: KnownDevice) -> Wish:
    return Wish(known.record, known.model, CommandKind.UNLOCK, "staff:ines", "key-0001")


def suspended(known: KnownDevice) -> KnownDevice:
    return KnownDevice(structs.replace(known.record, status=Status.SUSPENDED), known.model)


async def test_nobody_is_refused_for_what_was() -> None:
    async with a_bike() as surface:
        ordered = await order_of(world_with(surface, suspended), STAFF, DEVICE, unlock, wait_s=0)
        assert (ordered.status, ordered.repeated) == (201, False)
        assert len(surface.desk.rows) == 1


async def test_a_device_that_changed_in_between_is_looked_at_again() -> None:
    async with a_bike() as surface:
        surface.desk.devices = {one.record.device_no: one.record for one in surface.truth.registered}
        old = world_with(
            surface, lambda known: KnownDevice(structs.replace(known.record, boot=1), known.model)
        )
        ordered = await order_of(old, STAFF, DEVICE, unlock, wait_s=0)
        assert ordered.command.boot == surface.truth.registered[0].record.boot
        assert surface.figures.wishes == {"device_changed": 1, "issued": 1}
        assert isinstance(old.at_hand, Remembered)
        assert old.at_hand.doubted == [DEVICE]


async def test_one_that_is_suspended_by_now_is_refused() -> None:
    async with a_bike() as surface:
        before = surface.truth.registered[0]
        surface.truth.registered = [suspended(before)]
        surface.desk.devices = {before.record.device_no: surface.truth.registered[0].record}
        old = replace(surface.world(), at_hand=Remembered(before))
        with pytest.raises(Problem) as refused:
            await order_of(old, STAFF, DEVICE, unlock, wait_s=0)
        assert refused.value.kind == "command_refused"
        assert not surface.desk.rows


async def test_one_that_never_stands_still_is_asked_for_later() -> None:
    class Restless:
        """A desk to whom the device is always another."""

        async def issue(self, new: NewCommand) -> IssueOutcome:
            return DeviceChanged()

    async with a_bike() as surface:
        world = surface.world()
        restless = structs.replace(world.issuing, desk=Restless())
        old = replace(surface.world(), issuing=restless)
        with pytest.raises(Problem) as later:
            await order_of(old, STAFF, DEVICE, unlock, wait_s=0)
        assert (later.value.status, later.value.retry_after_s) == (503, 1)


async def test_one_that_has_opened_for_somebody_else_meanwhile_is_judged_by_a_state_that_shows_it() -> None:
    async with a_bike() as surface:
        world = surface.world()

        class Behind:
            """For the first look the state that was judged by is behind; by the second it has caught up."""

            looks = 0

            async def issue(self, new: NewCommand) -> IssueOutcome:
                self.looks += 1
                return DeviceChanged() if self.looks == 1 else await surface.desk.issue(new)

        behind = replace(world, issuing=structs.replace(world.issuing, desk=Behind()))
        ordered = await order_of(behind, STAFF, DEVICE, unlock, wait_s=0)
        assert ordered.status == 201
        assert surface.figures.wishes == {"device_changed": 1, "issued": 1}


async def test_nobody_is_told_what_was_ordered_by_whoever_had_the_device_before() -> None:
    async with a_bike() as surface:
        mine = surface.truth.registered[0]
        theirs = KnownDevice(structs.replace(mine.record, operator_id=2), mine.model)
        await issue(structs.replace(unlock(theirs), requested_by="staff:bob"), surface.world().issuing)
        with pytest.raises(Problem) as busy:
            await order_of(surface.world(), STAFF, DEVICE, unlock, wait_s=0)
        assert (busy.value.status, busy.value.kind, busy.value.extra) == (409, "slot_busy", {})
