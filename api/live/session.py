"""One client's conversation, sans-I/O: frames in, effects out."""

from collections.abc import Callable

from msgspec import Struct

from api.live.fleet_view import MAX_DEVICES_IN_VIEW, FleetView, Succession, TooManyDevices
from api.live.frames import (
    BadFrame,
    Hello,
    Refused,
    Unwatch,
    Watch,
    decode,
    encode_changes,
    encode_refused,
    encode_snapshot,
    printable,
)
from api.live.outbox import ChangeOutbox
from api.live.traits import MapFilter, traits_of
from api.live.watches import FINEST_LEVEL, MAX_WATCHED_CELLS, Watches
from gateway.core.change import Moved, Shown, Vanished, change_between
from gateway.core.live_state import MapEntry
from geo.box import BoundingBox
from geo.cell import CellId, deepest_cover

MAX_DEVICES_PER_FRAME = 100
"""About 17 KB, so one frame and the socket's own buffer stay within 64 KiB per client."""

MAX_DEVICES_FOR_RIDERS = 2_000
"""What a person looks at in one view of a phone; a whole fleet is the operator's."""

GROWTH = 5 / 4
"""A view that was allowed may fill up by a quarter before it is ended, so none flickers at the bound."""

FRAMES_PER_S = 10.0
"""A person pans at most a few times a second; each watch may cost 5 ms of the loop."""

FRAMES_AT_ONCE = 20.0
"""A burst that a nervous hand makes."""

MAX_REFUSED = 100
"""A client that was refused this often without one good watch between is closed: it does not listen."""


class SharedView(Struct, frozen=True):
    """What all sessions of one process have in common."""

    view: FleetView
    watches: Watches
    life: str
    """Names this life of the view in cursors."""
    is_stale: Callable[[], bool]


class Viewer(Struct, frozen=True):
    """Who watches, as far as it matters for what they see."""

    operator_id: int
    is_rider: bool

    @property
    def max_devices(self) -> int:
        """In one view."""
        return MAX_DEVICES_FOR_RIDERS if self.is_rider else MAX_DEVICES_IN_VIEW


class _Watching(Struct, frozen=True):
    id: int
    box: BoundingBox
    wanted: MapFilter
    cells: frozenset[CellId]
    may_grow_to: int

    def shows(self, entry: MapEntry) -> bool:
        in_box = self.box.contains(entry.lat_e7, entry.lon_e7)
        return in_box and self.wanted.accepts(traits_of(entry))


class LiveSession:
    """Holds the watch of one client and what it still has to hear."""

    def __init__(self, shared: SharedView, *, now_s: float, viewer: Viewer | None = None) -> None:
        self._shared = shared
        self._viewer = viewer
        self._offer: str | None = None
        self.is_unwelcome = False
        """True when the conversation must end because nobody said who is asking, or somebody else did."""
        self._watching: _Watching | None = None
        self._outbox = ChangeOutbox()
        self._snapshot_due = False
        self._stale_told = False
        self._ended: bytes | None = None
        """That the view filled up. Not `_answer`: whatever is refused next would take its place, and the client would
        keep a map that stands still."""
        self._answer: bytes | None = None
        self._allowance = FRAMES_AT_ONCE
        self._allowed_at_s = now_s
        self._refused = 0

    @property
    def has_pending(self) -> bool:
        """Whether `next_frame` has something to say."""
        has_word = self._ended is not None or self._answer is not None
        return has_word or self._snapshot_due or len(self._outbox) > 0 or self._stale_differs

    @property
    def pending_devices(self) -> int:
        """Devices the client still has to hear of."""
        return len(self._outbox)

    @property
    def is_hopeless(self) -> bool:
        """True when the client has been refused so often that the conversation should end."""
        return self._refused >= MAX_REFUSED

    def admit(self, viewer: Viewer) -> None:
        """The token was good. A fresh one may follow it, but not somebody else's."""
        if self._viewer is not None and self._viewer != viewer:
            self.is_unwelcome = True
        self._viewer = viewer

    def take_offer(self) -> str | None:
        """The token of a hello that nobody has looked at yet."""
        offer, self._offer = self._offer, None
        return offer

    def receive(self, frame: bytes, *, now_s: float) -> None:
        """Takes one frame of the client; what it leads to waits in `next_frame`, or in `take_offer`."""
        try:
            said = decode(frame)
        except BadFrame as error:
            self.is_unwelcome = self._viewer is None
            return self._refuse(Refused(None, "bad_frame", str(error)))
        if isinstance(said, Hello):
            return self._be_greeted(said, now_s)
        viewer = self._viewer
        if viewer is None:
            self.is_unwelcome = True
            return None
        if isinstance(said, Unwatch):
            return self._end_watch()
        if not self._may_ask(now_s):
            return self._refuse(Refused(said.id, "too_fast", f"at most {FRAMES_PER_S:.0f} watches a second"))
        return self._begin_watch(said, viewer)

    def _be_greeted(self, hello: Hello, now_s: float) -> None:
        if self._may_ask(now_s):
            self._offer = hello.token
        else:
            self._refuse(Refused(None, "too_fast", f"at most {FRAMES_PER_S:.0f} hellos a second"))

    def hear(self, change: Succession) -> None:
        """A device changed in a watched cell: says hello, moves it or says goodbye, by before and after."""
        watching = self._watching
        if watching is None:
            return
        became = change_between(change.before, change.after, watching.shows)
        for one in became if isinstance(became, tuple) else (became,):
            match one:
                case Shown(entry):
                    self._outbox.show(entry)
                case Moved(entry):
                    self._outbox.move(entry)
                case Vanished(_, public_id):
                    self._outbox.vanish(public_id)
        if self._outbox.due > watching.may_grow_to:
            self._end_watch()
            self._refused += 1
            why = str(TooManyDevices(watching.may_grow_to))
            self._ended = encode_refused(Refused(watching.id, "view_filled_up", why))

    def next_frame(self) -> bytes | None:
        """The next frame to send, or None. Called when the one before has left the process."""
        if self._ended is not None:
            ended, self._ended = self._ended, None
            return ended
        if self._answer is not None:
            answer, self._answer = self._answer, None
            return answer
        watching = self._watching
        if watching is None or not self.has_pending:
            return None
        parcel = self._outbox.drain(MAX_DEVICES_PER_FRAME)
        self._stale_told = self._shared.is_stale()
        encode = encode_snapshot if self._snapshot_due else encode_changes
        self._snapshot_due = False
        return encode(
            watching.id,
            parcel,
            cursor=f"{self._shared.life}.{self._shared.view.changes}",
            count=self._outbox.told,
            more=len(self._outbox) > 0,
            stale=self._stale_told,
        )

    def close(self) -> None:
        """Leaves all cells; the session hears nothing more."""
        self._end_watch()

    @property
    def _stale_differs(self) -> bool:
        return self._watching is not None and self._shared.is_stale() != self._stale_told

    def _begin_watch(self, watch: Watch, viewer: Viewer) -> None:
        if viewer.is_rider and watch.availability != "available":
            return self._refuse(Refused(watch.id, "not_allowed", "riders see what they can rent"))
        # Snapshot and join in one step of one thread: no change can fall between them.
        try:
            box, wanted = watch.area(), watch.wanted(viewer.operator_id)
            entries = self._shared.view.within(box, wanted, limit=viewer.max_devices)
        except ValueError as error:
            return self._refuse(Refused(watch.id, "bad_box", printable(str(error))))
        except TooManyDevices as error:
            return self._refuse(Refused(watch.id, "too_many_devices", str(error)))
        self._end_watch()
        cells = deepest_cover(box, deepest=FINEST_LEVEL, limit=MAX_WATCHED_CELLS)
        self._shared.watches.join(self, cells)
        self._watching = _Watching(watch.id, box, wanted, cells, int(viewer.max_devices * GROWTH))
        self._outbox.begin(entries)
        self._snapshot_due = True
        # The snapshot takes the place of all that the watch before has shown.
        self._ended = None
        self._refused = 0
        return None

    def _end_watch(self) -> None:
        if self._watching is not None:
            self._shared.watches.leave(self, self._watching.cells)
        self._watching = None
        self._outbox.begin([])
        self._snapshot_due = False

    def _may_ask(self, now_s: float) -> bool:
        grown = self._allowance + (now_s - self._allowed_at_s) * FRAMES_PER_S
        self._allowance = min(FRAMES_AT_ONCE, grown)
        self._allowed_at_s = now_s
        if self._allowance < 1.0:
            return False
        self._allowance -= 1.0
        return True

    def _refuse(self, refused: Refused) -> None:
        self._refused += 1
        self._answer = encode_refused(refused)
