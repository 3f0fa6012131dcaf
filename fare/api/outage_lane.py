"""The way into the database of outages being caught up: one batch at a time, in parts, and no faster than need be.

A server that takes them as fast as it can is busy with nothing else for as long as that lasts, and live taps wait at
each of their steps. At this pace most of its time is theirs, and a city that comes back is taken before anybody looks.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fare.precedence import Precedence
from fare.validator.batches import Batch, Reading

READ_AT_ONCE: Final = 25  # records: some 0.2 ms, in which nothing else of this process goes on
RECORDS_PER_S: Final = 16_000  # 300,000, a day of 585 validators, in some twenty seconds
OF_A_BATCH: Final = 50  # records, that it costs beside its own, however few these are
DRAINED_IN_S: Final = 12.0  # after the last came: the pace is not kept where that takes longer, since devices give up
GIVING_WAY_MAX_S: Final = 0.05  # of one batch, while it is read
LOOKING_LATER_MAX_S: Final = 0.005  # of one batch: there may be a thousand
COMING_MAX: Final = 16  # invited batches that are on their way
COMING_MAX_S: Final = 0.5  # of one; then the next is invited, too, so that nobody keeps the place


class OutageLane:
    """Where batches of outages wait for their turn."""

    def __init__(self, precedence: Precedence) -> None:
        self._precedence = precedence
        self._room = asyncio.Semaphore(COMING_MAX)
        self._looking = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._came_s = self._next_s = float("-inf")  # the last one; the next turn

    @property
    def is_busy(self) -> bool:
        """Return whether a batch has its turn or is looked at, or waits for that."""
        return self._turn.locked() or self._looking.locked()

    @asynccontextmanager
    async def coming(self) -> AsyncIterator[None]:
        """Run the block, in which a batch comes over the network, when few others do."""
        await self._room.acquire()
        with contextlib.ExitStack() as place:
            place.callback(self._room.release)
            place.callback(asyncio.get_running_loop().call_later(COMING_MAX_S, place.close).cancel)
            await self._precedence.give_way(LOOKING_LATER_MAX_S)
            yield

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Run the block, which sees whose batch it is, when that holds up nobody: before it waits for its turn."""
        async with self._looking:
            await self._precedence.give_way(LOOKING_LATER_MAX_S)
            yield

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Run the block when it is the turn of a batch."""
        self._waiting += 1
        self._came_s = _now_s()
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            await asyncio.sleep(max(0.0, self._next_s - _now_s()))
            yield
        finally:
            self._turn.release()

    async def read(self, batch: Batch) -> Reading:
        """Return the records of the batch that has its turn; the next one's comes as much later as they are more."""
        reading, records = Reading(batch), len(batch.payloads)
        began_s = _now_s()
        of_pace_s = (records + OF_A_BATCH) / RECORDS_PER_S
        self._next_s = began_s + min(of_pace_s, (self._came_s + DRAINED_IN_S - began_s) / (self._waiting + 1))
        until_s = began_s + GIVING_WAY_MAX_S
        for _ in range(0, records, READ_AT_ONCE):
            if _now_s() < until_s:
                await self._precedence.give_way()
            else:
                await asyncio.sleep(0)  # who is ready has the next turn in any case
            reading.read(READ_AT_ONCE)
        await self._precedence.give_way()
        return reading


def _now_s() -> float:
    return asyncio.get_running_loop().time()
