"""The end of a watch whose view filled up is told, whatever else is said before it leaves."""

import pytest
from msgspec.json import decode, encode

from api.live import session as session_module
from api.live.fleet_view import MAX_DEVICES_IN_VIEW
from api.live.session import LiveSession
from tests.unit.api.live.entries import entry
from tests.unit.api.live.test_session import STAFF, World

BOX = [121, 31, 122, 32]
NO_BOX = [0, 10, 1, -10]


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> LiveSession:
    """Watch 1 was ended, and the pace holds the frame that says so."""
    monkeypatch.setattr(session_module, "GROWTH", 2 / MAX_DEVICES_IN_VIEW)
    world = World()
    session = LiveSession(world.shared, now_s=0.0, viewer=STAFF)
    ask(session, 1, BOX)
    assert heard(session) == [("snapshot", 1)]
    for number in range(3):
        world.apply(number, entry(number))
    return session


def ask(session: LiveSession, watch_id: int, box: list[int]) -> None:
    session.receive(
        encode({"type": "watch", "id": watch_id, "box": box, "availability": "any"}), now_s=float(watch_id)
    )


def heard(session: LiveSession) -> list[tuple[str, int]]:
    """What every frame that is due says, and of which watch."""
    said = []
    while session.has_pending:
        frame = decode(session.next_frame() or b"")
        said.append((frame.get("reason", frame["type"]), frame["id"]))
    return said


def test_a_refusal_that_comes_before_it_leaves_does_not_take_its_place(filled: LiveSession) -> None:
    ask(filled, 2, NO_BOX)
    assert heard(filled) == [("view_filled_up", 1), ("bad_box", 2)]


def test_a_good_watch_takes_its_place(filled: LiveSession) -> None:
    ask(filled, 2, BOX)
    assert heard(filled) == [("snapshot", 2)]
