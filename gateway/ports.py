"""What the middle of the gateway needs of the world."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from firmware_protocol.codec import Encoding
from firmware_protocol.messages import DeviceId, Hello, Report
from gateway.core.device import DeviceModel, DeviceRecord
from gateway.core.feed import FeedEntry as FeedEntry
from gateway.core.feed import FeedGap as FeedGap
from gateway.core.feed import FeedPart as FeedPart
from gateway.core.feed import FeedPosition as FeedPosition
from gateway.core.feed import FillPage as FillPage
from gateway.core.live_state import LiveState
from gateway.core.steps import ShardSteps as ShardSteps
from gateway.core.steps import Step as Step


class Clock(Protocol):
    """The only source of time."""

    def now_ms(self) -> int:
        """Unix milliseconds."""

    def monotonic_s(self) -> float:
        """Seconds that never go back."""


class StoreUnavailable(Exception):
    """A store did not answer in time; nothing is known about what it did."""


# --- devices -------------------------------------------------------------------------------------


class Delivery(Struct, frozen=True, gc=False):
    """One PUBLISH to acknowledge: only its own link may, and only while that link lives."""

    session: str
    link_number: int
    packet_id: int


class Arrived(Struct, frozen=True, gc=False):
    """A frame as the edge hands it on: decoded, or with the reason why not."""

    lane: int
    device_id: DeviceId
    report: Report | None
    frame: bytes
    received_ms: int
    delivery: Delivery
    redelivered: bool
    """The broker's DUP flag: this PUBLISH may have been handled before a crash."""
    malformed_reason: str = ""
    malformed_at: str = ""
    topic: str = ""
    """Only for malformed frames."""
    beyond_quota: bool = False
    """Its device says too much: acknowledged in its turn, and nothing else."""


class ArrivedHello(Struct, frozen=True, gc=False):
    """A hello on the `-now` session."""

    lane: int
    device_id: DeviceId
    hello: Hello
    received_ms: int
    delivery: Delivery
    encoding: Encoding = Encoding.JSON
    """Of the hello's frame: the welcome goes out in the same."""


class DeviceLink(Protocol):
    """The way back to the devices and the broker. Calls only queue bytes; none blocks."""

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """PUBACK in the order given; deliveries of a link that is gone are dropped silently."""

    def publish(self, lane: int, topic: str, payload: bytes) -> None:
        """QoS 0, never retained, on the lane's `-now` session; dropped (counted) while it is down."""


# --- PostgreSQL ----------------------------------------------------------------------------------


class HistoryRow(Struct, frozen=True, gc=False):
    """One stored report."""

    device_no: int
    boot: int
    seq: int
    at_ms: int
    received_ms: int
    clock_suspect: bool
    kept: bool
    lat_e7: int | None
    lon_e7: int | None
    accuracy_m: float | None
    battery_pct: int | None
    bolt: int | None
    moving: bool | None
    units: int | None
    spaces: int | None
    signal_dbm: int | None
    frame: bytes
    operator_id: int = 0
    """Whose device it was when the row was stored."""


class QuarantinedFrame(Struct, frozen=True, gc=False):
    """A frame kept for a person."""

    device_id: str
    topic: str
    reason: str
    """A closed set: malformed, wrong_shard, unknown_device, boot_not_issued, stamp_reused, refused_by_store."""
    where: str
    """Where in the frame, or what else a person needs to know."""
    received_ms: int
    frame: bytes


class UnitSighting(Struct, frozen=True, gc=False):
    """A unit id seen in a slot."""

    unit_id: str
    device_no: int
    slot: int
    at_ms: int


class LastReport(Struct, frozen=True, gc=False):
    """What a lost live state is rebuilt from: one row per device, at most once a minute and at drain."""

    device_no: int
    state: LiveState
    taken_ms: int
    """Whatever the state does not know of was received then or later, by the clock that dates reports (Unix ms)."""
    rebased: bool = False
    """A person let its numbering begin anew: what history has of it up to now is never read again."""


class HistoryBatch(Struct, frozen=True):
    """What one transaction stores."""

    rows: Sequence[HistoryRow]
    """Stamps above everything this process has committed: binary COPY."""
    doubtful: Sequence[HistoryRow]
    """All others: staged, and inserted only where no row with their stamp exists."""
    quarantined: Sequence[QuarantinedFrame] = ()
    sightings: Sequence[UnitSighting] = ()
    last_reports: Sequence[LastReport] = ()
    meanwhile: Callable[[], None] | None = None
    """Work of the caller that needs no answer: the store may do it once, while the server stores the rows."""


class Appended(Struct, frozen=True):
    """What became of the doubtful rows."""

    doubled: int
    """Rows that were there already, byte for byte."""
    stamp_reused: frozenset[tuple[int, int, int]]
    """(device_no, boot, seq) whose stored frame differs: quarantined in the same transaction."""
    refused: frozenset[tuple[int, int, int]] = frozenset()
    """(device_no, boot, seq) of rows the store cannot hold: quarantined in the same transaction, not stored."""


class HistoryStore(Protocol):
    """Where every report is kept."""

    async def append(self, batch: HistoryBatch) -> Appended:
        """One transaction, committed on return. Raises StoreUnavailable; then nothing is known and
        the same batch may be given again."""


class Registry(Protocol):
    """Devices and models; answers from memory where it can."""

    def known(self, device_id: DeviceId) -> DeviceRecord | None:
        """From memory only."""

    async def load(self, device_ids: Sequence[DeviceId]) -> Mapping[DeviceId, DeviceRecord]:
        """From PostgreSQL for those not in memory; unknown ids are missing in the answer."""

    def model(self, name: str) -> DeviceModel:
        """Raises KeyError for a model that was never registered."""

    async def time_ms(self) -> int:
        """Unix ms now by the one clock of the installation: PostgreSQL's."""

    async def boots_issued(self, pairs: Sequence[tuple[int, int]]) -> frozenset[tuple[int, int]]:
        """Which of these (device_no, boot) were ever given."""

    async def give_boots(
        self, hellos: Sequence[tuple[DeviceRecord, Hello]], now_ms: int
    ) -> Mapping[DeviceId, DeviceRecord]:
        """Committed on return: the same power_on_id keeps its boot, a new one gets
        max(last + 1, unix seconds now)."""

    async def give_public_ids(self, used: Mapping[DeviceId, int]) -> Mapping[DeviceId, DeviceRecord]:
        """Committed on return: another public id and marker for each device whose `public_id_no` is not above this
        one, but for some that others hold. Returns all as they are now. Raises StoreUnavailable."""

    async def register_unknown(self, device_id: DeviceId, model: str) -> DeviceRecord | None:
        """Registers when the model allows it; None when it does not."""


class Leases(Protocol):
    """Who reads which lane."""

    async def take(self, owner: str, lanes: Sequence[int]) -> Mapping[int, int]:
        """lane -> lease number for those now ours. The same name retakes at once."""

    async def renew(self, owner: str, held: Mapping[int, int]) -> frozenset[int]:
        """The lanes that are still ours, now for another 10 s."""

    async def release(self, owner: str, held: Mapping[int, int]) -> None:
        """Another may take these lanes at once. Raises StoreUnavailable."""


class LastReports(Protocol):
    """The way back when Redis was lost."""

    async def of_shard(self, shard: int) -> Sequence[tuple[DeviceRecord, LiveState]]:
        """The newest known state of every device of the shard: last_report plus newer history."""


# --- Redis ---------------------------------------------------------------------------------------


class FeedEpochLost(Exception):
    """Redis lost the shard's epoch key: it was emptied or replaced, and must be rebuilt."""

    def __init__(self, shard: int) -> None:
        super().__init__(f"shard {shard:02x}: feed epoch is gone")
        self.shard = shard


class StatesUnreadable(StoreUnavailable):
    """A live state of each of these shards cannot be read, by this version or at all: their owner gives them up."""

    def __init__(self, shards: frozenset[int]) -> None:
        super().__init__("unreadable live states in shards " + ", ".join(f"{s:02x}" for s in sorted(shards)))
        self.shards = shards


class StatePage(Struct, frozen=True):
    """Part of a walk over a shard; a cursor of 0 ends it."""

    cursor: int
    states: Mapping[DeviceId, LiveState]


class LiveStates(Protocol):
    """The current state of every device, and the feed of changes, per shard."""

    async def epoch(self, shard: int) -> str | None:
        """The shard's feed epoch, or None when there is none or Redis changed its run id."""

    async def rebuild(self, shard: int, epoch: str, states: Mapping[DeviceId, LiveState]) -> None:
        """Replaces the states of a lost shard and starts the epoch, atomically for readers. Raises StoreUnavailable,
        and changes nothing, where the shard has an epoch: another rebuilt it meanwhile."""

    async def give_up(self, shard: int, epoch: str) -> None:
        """Takes the shard for lost, if this epoch still stands. Raises StoreUnavailable."""

    async def load(self, by_shard: Mapping[int, Sequence[DeviceId]]) -> Mapping[DeviceId, LiveState]:
        """Absent devices are missing in the answer. Raises StatesUnreadable, StoreUnavailable."""

    async def page(self, shard: int, cursor: int = 0) -> StatePage:
        """A few hundred states; a walk gives each that stood all along. Raises StatesUnreadable, StoreUnavailable."""

    def pack(self, part: ShardSteps) -> ShardSteps:
        """The same, ready to be sent: what `advance` has to do before it waits can be done while others wait."""

    async def advance(self, shards: Sequence[ShardSteps]) -> frozenset[DeviceId]:
        """Applies every step whose before_revision still matches, and appends its change to the feed in the same
        script. Returns the devices that did not match. Raises FeedEpochLost, StoreUnavailable."""

    async def beat(self, epochs: Mapping[int, str]) -> None:
        """Appends a part without changes to the feed of every shard that was silent for a while, so that its
        readers know the owner lives. Raises FeedEpochLost, StoreUnavailable."""
