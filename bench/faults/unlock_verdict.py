"""What devices did against what PostgreSQL says of the commands."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from msgspec import Struct

from device_sim.truth import Execution

SETTLED_OR_UNKNOWN = frozenset(
    {"confirmed", "executed_late", "expired", "refused", "failed", "cancelled", "unconfirmed", "abandoned"}
)

NOT_DONE = frozenset({"expired", "cancelled", "failed", "refused"})


class Ordered(Struct, frozen=True):
    """One command as PostgreSQL has it."""

    command_id: str
    """Hexadecimal digits."""
    device_id: str
    slot: int
    fence: int
    phase: str


def judge(ordered: Sequence[Ordered], executions: Sequence[Execution]) -> Mapping[str, list[str]]:
    """By broken promise, what broke it; `ordered` in the order of issue, `executions` in the order of the acts."""
    broken: dict[str, list[str]] = defaultdict(list)
    by_id = {command.command_id: command for command in ordered}
    for command_id, count in Counter(one.command for one in executions).items():
        if count > 1:
            broken["executed more than once"].append(command_id)
    last: Counter[tuple[str, int]] = Counter()
    for one in executions:
        place = (one.device, one.slot)
        if one.began_ms >= one.not_after_s * 1000:
            broken["executed after not_after"].append(one.command)
        if one.fence <= last[place]:
            broken["executed with an old fence"].append(one.command)
        last[place] = max(last[place], one.fence)
        if one.command not in by_id:
            broken["executed and never issued"].append(one.command)
    done = {one.command for one in executions}
    fences: Counter[str] = Counter()
    for command in ordered:
        if command.phase not in SETTLED_OR_UNKNOWN:
            broken["stuck"].append(f"{command.command_id} is {command.phase}")
        if command.phase == "confirmed" and command.command_id not in done:
            broken["confirmed and not executed"].append(command.command_id)
        if command.phase in NOT_DONE and command.command_id in done:
            broken["executed and said not to be"].append(f"{command.command_id} is {command.phase}")
        if command.fence <= fences[command.device_id]:
            broken["fence did not rise"].append(command.command_id)
        fences[command.device_id] = command.fence
    return broken
