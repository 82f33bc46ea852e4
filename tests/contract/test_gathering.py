"""Questions that come together are answered together, each with its own answer."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.stores.gathering import Gathering


class Oracle:
    """Answers when it is let; doubles numbers, and refuses batches with a negative one."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_answer = asyncio.Event()
        self.gathering: Gathering[int, int] = Gathering(self._answer, side_by_side=1, at_most=3)

    async def _answer(self, questions: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(questions))
        await self.may_answer.wait()
        if min(questions) < 0:
            raise ValueError(str(questions))
        return [2 * question for question in questions]


async def test_the_first_leaves_at_once_and_the_others_together() -> None:
    oracle = Oracle()
    asking = [asyncio.create_task(oracle.gathering.ask(number)) for number in range(6)]
    while not oracle.batches:
        await asyncio.sleep(0)
    oracle.may_answer.set()
    assert await asyncio.gather(*asking) == [0, 2, 4, 6, 8, 10]
    assert all(len(batch) <= 3 for batch in oracle.batches)
    assert [one for batch in oracle.batches for one in batch] == [0, 1, 2, 3, 4, 5]
    assert len(oracle.batches) < 6
    await oracle.gathering.close()


async def test_what_is_raised_reaches_those_who_asked_and_nobody_else() -> None:
    oracle = Oracle()
    oracle.may_answer.set()
    with pytest.raises(ValueError, match="-1"):
        await oracle.gathering.ask(-1)
    assert await oracle.gathering.ask(4) == 8


async def test_one_exception_among_the_answers_is_for_one() -> None:
    async def answer(questions: Sequence[int]) -> Sequence[int | Exception]:
        return [ValueError("seven") if question == 7 else question for question in questions]

    gathering: Gathering[int, int] = Gathering(answer, side_by_side=1, at_most=9)
    answers = await asyncio.gather(*map(gathering.ask, (6, 7, 8)), return_exceptions=True)
    assert (answers[0], str(answers[1]), answers[2]) == (6, "seven", 8)


async def test_who_asks_again_the_moment_it_is_answered_is_answered_again() -> None:
    oracle = Oracle()
    oracle.may_answer.set()

    async def insist(number: int) -> None:
        for _ in range(100):
            assert await oracle.gathering.ask(number) == 2 * number

    await asyncio.wait_for(asyncio.gather(*map(insist, range(10))), 30)


async def test_who_stops_waiting_hinders_nobody() -> None:
    oracle = Oracle()
    impatient = asyncio.create_task(oracle.gathering.ask(1))
    while not oracle.batches:
        await asyncio.sleep(0)
    patient = asyncio.create_task(oracle.gathering.ask(2))
    impatient.cancel()
    oracle.may_answer.set()
    assert await patient == 4
    assert impatient.cancelled()
