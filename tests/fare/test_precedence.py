"""What can wait gives way to who waits at a door, and is not kept from going on for ever."""

import asyncio
import itertools

import pytest

from fare.model import MediumId
from fare.precedence import LATELY_S, Precedence
from tests.fare.simulation.virtual_time import VirtualLoop, run


def test_what_can_wait_begins_when_nobody_waits_any_more() -> None:
    async def main(loop: VirtualLoop) -> list[float]:
        precedence, began_s = Precedence(1.0), []

        async def at_the_door(until_s: float) -> None:
            with precedence.first():
                await asyncio.sleep(until_s)

        doors = [asyncio.create_task(at_the_door(until_s)) for until_s in (0.1, 0.3)]
        await precedence.give_way()
        began_s.append(loop.time())
        await asyncio.gather(*doors)
        await precedence.give_way()
        began_s.append(loop.time())
        return began_s

    assert run(main) == [0.3, 0.3]


def test_a_door_that_is_never_free_holds_it_up_for_so_long_and_no_longer() -> None:
    async def main(loop: VirtualLoop) -> float:
        precedence = Precedence(0.05)

        async def at_the_door() -> None:
            for _ in itertools.count():
                with precedence.first():
                    await asyncio.sleep(0.01)

        door = asyncio.create_task(at_the_door())
        await precedence.give_way()
        waited_s = loop.time()
        door.cancel()
        return waited_s

    assert run(main) == 0.05


def test_who_fails_at_the_door_holds_up_nobody() -> None:
    async def main(loop: VirtualLoop) -> float:
        precedence = Precedence(1.0)
        with pytest.raises(ConnectionError), precedence.first():
            raise ConnectionError
        await precedence.give_way()
        return loop.time()

    assert run(main) == 0.0


def test_it_goes_on_at_once_where_the_door_waits_for_what_it_holds() -> None:
    async def main(loop: VirtualLoop) -> list[float]:
        precedence, went_on_s = Precedence(60.0), []

        async def at_the_door(begin_s: float, needing: str) -> None:
            await asyncio.sleep(begin_s)
            with precedence.first([MediumId(needing)]):
                await asyncio.sleep(1.0)

        doors = [asyncio.create_task(at_the_door(*one)) for one in ((0.0, "other"), (0.25, "held"), (3.0, "held"))]
        await asyncio.sleep(0.1)
        with precedence.holding([MediumId("held"), MediumId("more")]):
            await precedence.give_way()
            went_on_s.append(loop.time())
        await precedence.give_way()  # it holds nothing now, and both are still there
        went_on_s.append(loop.time())
        await asyncio.sleep(3.5 - loop.time())
        with precedence.holding([MediumId("held")]), precedence.holding([MediumId("held")]):
            await precedence.give_way()
            went_on_s.append(loop.time())
        await asyncio.gather(*doors)
        return went_on_s

    assert run(main) == [0.25, 1.25, 3.5]


@pytest.mark.parametrize(("ago_s", "rested_s"), [(0.0, 0.03), (LATELY_S - 0.1, 0.03), (LATELY_S + 0.1, 0.0)])
def test_it_rests_only_while_people_come_to_the_door(ago_s: float, rested_s: float) -> None:
    async def main(loop: VirtualLoop) -> float:
        precedence = Precedence()
        await precedence.rest(1.0)
        assert loop.time() == 0.0, "nobody ever came"
        with precedence.first():
            await asyncio.sleep(0.01)
        await asyncio.sleep(ago_s)
        began_s = loop.time()
        await precedence.rest(0.03)
        return loop.time() - began_s

    assert run(main) == pytest.approx(rested_s)


def test_a_rest_ends_when_somebody_waits_for_what_is_held() -> None:
    async def main(loop: VirtualLoop) -> float:
        precedence = Precedence()

        async def at_the_door(after_s: float, medium_id: MediumId) -> None:
            await asyncio.sleep(after_s)
            with precedence.first([medium_id]):
                await asyncio.sleep(1.0)

        doors = [
            asyncio.create_task(at_the_door(after_s, medium_id))
            for after_s, medium_id in ((0.0, MediumId("other")), (0.2, MediumId("held")))
        ]
        await asyncio.sleep(0.1)
        with precedence.holding([MediumId("held")]):
            await precedence.rest(10.0)
        rested_s = loop.time()
        await asyncio.gather(*doors)
        return rested_s

    assert run(main) == pytest.approx(0.2)
