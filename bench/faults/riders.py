"""People who open bikes through the API whatever becomes of it, and never give a wish up before it is answered."""

import time
from collections.abc import Callable, Sequence
from random import Random
from threading import Event, Lock, Thread
from typing import Any
from uuid import uuid4

from msgspec import Struct

from cli.api_client import ApiClient, Refused, Unanswered

ASK_AGAIN_S = 0.1
UNAVAILABLE = 500
"""From here on the server had a problem, and the same wish may be put again."""


class Wished(Struct):
    """One wish and everything the API said to it."""

    device_id: str
    key: str
    ttl_s: int
    command_ids: set[str]
    asked: int = 0
    refused: str = ""


class Riders:
    """Threads, each of which puts one wish after the other."""

    def __init__(self, client: Callable[[], ApiClient], devices: Sequence[str], chance: Random) -> None:
        self.wishes: list[Wished] = []
        self._client = client
        self._devices = list(devices)
        chance.shuffle(self._devices)
        self._stop = Event()
        self._lock = Lock()
        self._next = 0
        self._threads: list[Thread] = []

    def start(self, count: int, *, pause_s: float, ttl_s: int) -> None:
        """They begin at once."""
        for number in range(count):
            thread = Thread(target=self._ride, args=(pause_s, ttl_s, Random(number)), daemon=True)
            self._threads.append(thread)
            thread.start()

    def end(self) -> None:
        """No new wishes; returns once the last one is answered."""
        self._stop.set()
        for thread in self._threads:
            thread.join(120)

    @property
    def issued(self) -> list[Wished]:
        """Wishes that became commands."""
        return [wish for wish in self.wishes if wish.command_ids]

    def put(self, wish: Wished, *, within_s: float = 60.0) -> None:
        """Until it is answered; the same key each time."""
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            wish.asked += 1
            try:
                answer: dict[str, Any] = self._client().post(
                    f"/v1/devices/{wish.device_id}/commands",
                    {"kind": "unlock", "ttl_s": wish.ttl_s, "why": "a trial"},
                    {"Idempotency-Key": wish.key},
                )
            except Refused as refused:
                if refused.status < UNAVAILABLE:
                    wish.refused = f"{refused.status} {refused.problem.get('reasons') or refused}"
                    return
            except Unanswered:
                pass
            else:
                wish.command_ids.add(answer["id"])
                return
            time.sleep(ASK_AGAIN_S)
        wish.refused = "never answered"

    def _ride(self, pause_s: float, ttl_s: int, chance: Random) -> None:
        while not self._stop.wait(pause_s * chance.uniform(0.5, 1.5)):
            with self._lock:
                device_id = self._devices[self._next % len(self._devices)]
                self._next += 1
                wish = Wished(device_id, str(uuid4()), ttl_s, set())
                self.wishes.append(wish)
            self.put(wish)
