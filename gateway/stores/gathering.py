"""What is asked at the same time is answered by one transaction."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Gathering(Generic[Asked, Answer]):
    """A question leaves at once while fewer than `side_by_side` batches are under way; those that come meanwhile go
    together, at most `at_most` of them."""

    def __init__(
        self,
        answer: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer | Exception]]],
        *,
        side_by_side: int,
        at_most: int,
    ) -> None:
        """`answer` gives as many answers as it was asked, in their order; an exception among them is raised to who
        asked that, what it raises itself to all."""
        self._answer = answer
        self._side_by_side = side_by_side
        self._at_most = at_most
        self._waiting: deque[tuple[Asked, asyncio.Future[Answer]]] = deque()
        self._busy = 0
        self._under_way: set[asyncio.Task[None]] = set()

    async def ask(self, question: Asked) -> Answer:
        """The answer. Who stops waiting may have been answered all the same."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answered))
        if self._busy < self._side_by_side:
            self._busy += 1
            task = asyncio.create_task(self._work())
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return await answered

    async def close(self) -> None:
        """Waits for what is under way."""
        if self._under_way:
            await asyncio.wait(set(self._under_way))

    async def _work(self) -> None:
        try:
            await self._answer_all()
        finally:
            # In the same step in which it saw that nobody waits: who asks next begins anew.
            self._busy -= 1

    async def _answer_all(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._at_most))]
            try:
                answers = await self._answer([question for question, _ in batch])
            # Whatever it is, those who wait must hear of it.
            except Exception as error:
                for _, answered in batch:
                    if not answered.done():
                        answered.set_exception(error)
                continue
            for (_, answered), answer in zip(batch, answers, strict=True):
                if answered.done():
                    continue
                if isinstance(answer, Exception):
                    answered.set_exception(answer)
                else:
                    answered.set_result(answer)
