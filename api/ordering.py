"""From what somebody wants of a device to the command that stands for it; a refusal is a problem that says why."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from msgspec import Struct

from api.auth.principal import Principal
from api.ports import DevicesByName, KnownDevice
from api.problems import Problem
from api.world import World
from gateway.command_ports import CommandRecord, DeviceChanged, Issued, IssueOutcome, KeyReused, SlotBusy
from gateway.commands.issue import RefusedWish, Wish, issue
from gateway.core.command import Phase

WishFor = Callable[[KnownDevice], Wish]
"""What is wanted of the device that was named. Raises Problem for what cannot be."""


class Ordered(Struct, frozen=True):
    """The command, and whether the same key had ordered it before."""

    command: CommandRecord
    repeated: bool

    @property
    def status(self) -> int:
        """Of the HTTP answer."""
        return 200 if self.repeated else 201

    def headers(self) -> dict[str, str]:
        """Where it is looked at from now on."""
        place = {"Location": f"/v1/commands/{self.command.command_id}"}
        return {**place, "Idempotency-Replayed": "true"} if self.repeated else place


async def order_of(
    world: World,
    principal: Principal,
    name: str,
    wished: WishFor,
    *,
    wait_s: float,
    allowed: Awaitable[None] | None = None,
) -> Ordered:
    """Issued, and with `wait_s` as it stands once it is settled, at the latest after so long. `allowed` is under way
    meanwhile; what it raises goes before all else. Raises Problem, StoreUnavailable."""
    known = await device_named(world.at_hand, name, principal)
    outcome = await issue(wished(known), world.issuing, allowed=allowed)
    if isinstance(outcome, DeviceChanged | RefusedWish):
        # What is at hand may be some seconds old, and nobody is refused for what was.
        now = await device_named(world.devices, name, principal)
        if now != known:
            world.at_hand.doubt(name)
        if now != known or isinstance(outcome, DeviceChanged):
            # The live state is read again as well: it may have been behind what the device did for somebody else.
            outcome = await issue(wished(now), world.issuing)
    ordered = _ordered(outcome)
    command = await waited(world, ordered.command, wait_s, is_new=not ordered.repeated)
    return Ordered(command, ordered.repeated)


async def device_named(devices: DevicesByName, name: str, principal: Principal) -> KnownDevice:
    """The device of this id or public id; another operator's is as absent as one that never was. Raises Problem,
    StoreUnavailable."""
    known = await devices.find(name, operator_id=principal.operator_id)
    if known is None:
        raise Problem("device_not_found", 404, "No device has this id or public id.")
    return known


async def waited(
    world: World, command: CommandRecord, wait_s: float, *, is_new: bool = False
) -> CommandRecord:
    """As it stands once it is settled or UNCONFIRMED, at the latest after so long; of one that is `is_new`, ordered
    a moment ago, nothing can have been missed. Raises StoreUnavailable."""
    if not wait_s:
        return command
    known = command if is_new else None
    return await world.desk.settled(command.command_id, timeout_s=wait_s, known=known) or command


def _ordered(outcome: IssueOutcome | RefusedWish) -> Ordered:
    """Raises Problem for whatever is no command."""
    match outcome:
        case Issued(command, repeated):
            return Ordered(command, repeated)
        case KeyReused(command_id):
            detail = "This Idempotency-Key stands for another wish. Draw a new one for each."
            raise Problem("key_reused", 409, detail, extra={"command_id": str(command_id)})
        case SlotBusy(UUID() as command_id, Phase() as phase):
            detail = f"An earlier command for this slot is {phase.value}. Wait until it is settled."
            extra = {"command_id": str(command_id), "phase": phase.value}
            raise Problem("slot_busy", 409, detail, extra=extra)
        case SlotBusy():
            detail = (
                "A command that the device was given before it was yours is not settled. Wait until it is."
            )
            raise Problem("slot_busy", 409, detail)
        case RefusedWish(reasons):
            detail = "; ".join(one.detail for one in reasons)
            listed = [{"reason": one.reason.value, "detail": one.detail} for one in reasons]
            raise Problem("command_refused", 409, f"Refused: {detail}.", extra={"reasons": listed})
        case DeviceChanged():
            # What two looks, a moment apart, could not agree on is as good as out of reach, and so it is answered.
            detail = "The device is changing at this very moment; ask again."
            raise Problem("store_unavailable", 503, detail, retry_after_s=1)
