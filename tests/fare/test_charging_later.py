"""What is charged later stands in the way of live taps one at a time, and half of the time while there are any."""

import asyncio

import pytest

from fare.charging_later import REST_MAX_S, PostingTurns
from fare.precedence import Precedence
from tests.fare.simulation.virtual_time import VirtualLoop, run


async def posted(turns: PostingTurns, times_s: list[float], takes_s: float) -> None:
    async with turns.turn():
        times_s.append(asyncio.get_running_loop().time())
        await asyncio.sleep(takes_s)


def test_while_nobody_taps_one_follows_the_other() -> None:
    async def main(_: VirtualLoop) -> list[float]:
        turns, times_s = PostingTurns(Precedence()), list[float]()
        await asyncio.gather(*(posted(turns, times_s, 0.01) for _ in range(3)))
        return times_s

    assert run(main) == pytest.approx([0.0, 0.01, 0.02])


def test_while_people_tap_there_is_a_rest_as_long_as_the_last_took_but_not_for_ever() -> None:
    async def main(_: VirtualLoop) -> list[float]:
        precedence, times_s = Precedence(), list[float]()
        with precedence.first():
            pass
        turns = PostingTurns(precedence)
        await asyncio.gather(*(posted(turns, times_s, takes_s) for takes_s in (0.01, 0.02, 10 * REST_MAX_S, 0.01)))
        return times_s

    third_s = 0.01 * 2 + 0.02 * 2
    assert run(main) == pytest.approx([0.0, 0.02, third_s, third_s + 11 * REST_MAX_S])


def test_who_fails_leaves_the_turn_to_the_next() -> None:
    async def main(_: VirtualLoop) -> list[float]:
        turns, times_s = PostingTurns(Precedence()), list[float]()
        with pytest.raises(ConnectionError):
            async with turns.turn():
                raise ConnectionError
        await posted(turns, times_s, 0.01)
        return times_s

    assert run(main) == [0.0]
