"""Batches of outages come one at a time, at a pace, in parts between which others have their turns."""

import asyncio
from collections.abc import Sequence

import pytest

from fare.api import outage_lane
from fare.api.outage_lane import (
    COMING_MAX,
    COMING_MAX_S,
    DRAINED_IN_S,
    GIVING_WAY_MAX_S,
    LOOKING_LATER_MAX_S,
    OF_A_BATCH,
    READ_AT_ONCE,
    RECORDS_PER_S,
    OutageLane,
)
from fare.model import DeviceId
from fare.precedence import Precedence
from fare.validator.batches import Batch
from tests.fare.simulation.virtual_time import VirtualLoop, run

OF_PACE_S = (500 + OF_A_BATCH) / RECORDS_PER_S  # from a batch of 500 to the next


def batch(records: int) -> Batch:
    return Batch(
        city="kzo",
        device_id=DeviceId("v-1"),
        sent_ms=1,
        first_sequence=1,
        before=b"",
        payloads=(b"",) * records,  # lost: nothing to be found wrong with
    )


async def take(lane: OutageLane, records: int, works_s: float = 0.0) -> float:
    """Let a batch have its turn; return when it had it."""
    async with lane.turn():
        began_s = asyncio.get_running_loop().time()
        reading = await lane.read(batch(records))
        assert len(reading.records) == records
        await asyncio.sleep(works_s)
    return began_s


def taken(sizes: Sequence[int], works_s: float = 0.0) -> list[float]:
    async def main(_: VirtualLoop) -> list[float]:
        lane = OutageLane(Precedence())
        return [await take(lane, records, works_s) for records in sizes]

    return run(main)


def test_the_next_has_its_turn_as_much_later_as_there_were_records() -> None:
    assert taken([500, 500, 1, 1]) == pytest.approx(
        [0.0, OF_PACE_S, 2 * OF_PACE_S, 2 * OF_PACE_S + (1 + OF_A_BATCH) / RECORDS_PER_S]
    )


def test_work_that_takes_longer_than_the_pace_is_not_made_longer() -> None:
    assert taken([500, 500, 500], works_s=2 * OF_PACE_S) == pytest.approx([0.0, 2 * OF_PACE_S, 4 * OF_PACE_S])


def test_a_lane_that_was_empty_owes_nobody_a_faster_pace() -> None:
    async def main(_: VirtualLoop) -> list[float]:
        lane = OutageLane(Precedence())
        await take(lane, 500)
        await asyncio.sleep(100)
        return [await take(lane, 500) for _ in range(2)]

    begun_s = run(main)
    assert begun_s[1] - begun_s[0] == pytest.approx(OF_PACE_S)


def test_a_whole_city_at_once_is_taken_before_anybody_gives_up() -> None:
    async def main(_: VirtualLoop) -> tuple[list[float], float]:
        lane = OutageLane(Precedence())
        assert not lane.is_busy
        waiting = [asyncio.create_task(take(lane, 500)) for _ in range(1_000)]
        await asyncio.sleep(0.001)
        assert lane.is_busy
        begun_s = await asyncio.gather(*waiting)
        return begun_s, await take(lane, 500)

    begun_s, next_s = run(main)
    assert begun_s == sorted(begun_s), "in the order in which they came"
    assert 1_000 * OF_PACE_S > 2 * DRAINED_IN_S
    assert begun_s[-1] <= DRAINED_IN_S
    assert begun_s[500] == pytest.approx(DRAINED_IN_S / 2, rel=0.01), "none ahead hurries more than those behind"
    assert next_s - begun_s[-1] <= OF_PACE_S


def test_reading_gives_way_but_not_for_ever() -> None:
    async def main(loop: VirtualLoop) -> tuple[float, float]:
        precedence = Precedence()
        lane = OutageLane(precedence)

        async def at_the_door(waits_s: float) -> None:
            with precedence.first():
                await asyncio.sleep(waits_s)

        door = asyncio.create_task(at_the_door(0.01))
        await asyncio.sleep(0)
        began_s = loop.time()
        await lane.read(batch(500))
        short_s = loop.time() - began_s
        await door
        door = asyncio.create_task(at_the_door(1_000))
        await asyncio.sleep(0)
        began_s = loop.time()
        await lane.read(batch(500))
        return short_s, loop.time() - began_s

    short_s, long_s = run(main)
    assert short_s == pytest.approx(0.01)
    assert long_s == pytest.approx(2 * GIVING_WAY_MAX_S), "while it is read, and before it is written"


def test_others_have_a_turn_between_any_two_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(_: VirtualLoop) -> list[int]:
        turns, turns_at_reads = 0, []

        class Watched(outage_lane.Reading):
            def read(self, count: int) -> None:
                assert count == READ_AT_ONCE
                turns_at_reads.append(turns)
                super().read(count)

        async def take_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        monkeypatch.setattr(outage_lane, "Reading", Watched)
        other = asyncio.create_task(take_turns())
        await OutageLane(Precedence()).read(batch(4 * READ_AT_ONCE))
        other.cancel()
        return turns_at_reads

    seen = run(main)
    assert len(seen) == len(set(seen)) == 4


def test_who_fails_or_gives_up_leaves_the_turn_to_the_next() -> None:
    async def main(loop: VirtualLoop) -> float:
        lane = OutageLane(Precedence())

        async def fail() -> None:
            async with lane.turn():
                given_up = asyncio.create_task(take(lane, 500))
                await asyncio.sleep(0)
                given_up.cancel()
                raise ConnectionError

        with pytest.raises(ConnectionError):
            await fail()
        assert not lane.is_busy
        await take(lane, 1)
        return loop.time()

    assert run(main) == 0.0


def test_batches_are_looked_at_one_at_a_time_and_give_way_for_less_long_than_others() -> None:
    async def main(loop: VirtualLoop) -> tuple[list[float], float]:
        precedence = Precedence()
        lane, ended_s = OutageLane(precedence), []

        async def look() -> None:
            async with lane.looking():
                assert lane.is_busy
                await asyncio.sleep(0.001)
                ended_s.append(loop.time())

        await asyncio.gather(look(), look(), look())
        assert not lane.is_busy
        with precedence.first():
            began_s = loop.time()
            async with lane.looking():
                waited_s = loop.time() - began_s
        return ended_s, waited_s

    ended_s, waited_s = run(main)
    assert ended_s == pytest.approx([0.001, 0.002, 0.003])
    assert waited_s == pytest.approx(LOOKING_LATER_MAX_S)
    assert LOOKING_LATER_MAX_S * 1_000 < DRAINED_IN_S


def test_few_are_on_their_way_at_a_time_and_who_is_slow_keeps_no_place() -> None:
    async def main(loop: VirtualLoop) -> list[float]:
        lane, began_s = OutageLane(Precedence()), []

        async def come(takes_s: float) -> None:
            async with lane.coming():
                began_s.append(loop.time())
                await asyncio.sleep(takes_s)

        slow, quick_s = 10 * COMING_MAX_S, COMING_MAX_S / 5
        await asyncio.gather(*(come(slow) for _ in range(COMING_MAX)), *(come(quick_s) for _ in range(2 * COMING_MAX)))
        await asyncio.gather(*(come(quick_s) for _ in range(COMING_MAX + 1)))
        return began_s

    began_s = run(main)
    quick_s, over_s = COMING_MAX_S / 5, 10 * COMING_MAX_S
    at_s = (0.0, COMING_MAX_S, COMING_MAX_S + quick_s, over_s, over_s + quick_s)
    counts = (COMING_MAX, COMING_MAX, COMING_MAX, COMING_MAX, 1)  # the last: no place was given back twice
    assert began_s == pytest.approx([at for at, count in zip(at_s, counts, strict=True) for _ in range(count)])


def test_who_gives_up_on_the_way_leaves_the_place() -> None:
    async def main(_: VirtualLoop) -> None:
        lane = OutageLane(Precedence())

        async def come() -> None:
            async with lane.coming():
                await asyncio.Event().wait()

        waiting = [asyncio.create_task(come()) for _ in range(2 * COMING_MAX)]
        await asyncio.sleep(0.01)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        async with asyncio.timeout(0.01), lane.coming():
            pass

    run(main)
