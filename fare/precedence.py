"""Who waits at a door goes before work that can wait, within one event loop.

Python does one thing at a time: a batch of what can wait, once begun, delays whoever comes meanwhile. So such work is
done in short steps and gives way before each of them. It is never held up for long: those at the door may follow one
another without a gap. And it goes on at once while somebody at a door needs what it holds itself: to give way to who
waits for oneself helps nobody.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

from fare.model import MediumId

GIVE_WAY_MAX_S: Final = 0.05
LATELY_S: Final = 2.0


class Precedence:
    """Hold ``first`` while somebody waits; ``give_way`` before each step of what can wait, ``rest`` between some."""

    def __init__(self, give_way_max_s: float = GIVE_WAY_MAX_S) -> None:
        self._give_way_max_s = give_way_max_s
        self._waiting = 0
        self._waited_s = float("-inf")  # when somebody did last
        self._needed: Counter[MediumId] = Counter()
        self._held: Counter[MediumId] = Counter()
        self._free = asyncio.Event()
        self._free.set()
        self._wanted = asyncio.Event()  # somebody waits for what is held

    @contextmanager
    def first(self, needing: Collection[MediumId] = ()) -> Iterator[None]:
        """Let what can wait do so while the block runs, unless one of the media ``needing`` is held by it."""
        self._waiting += 1
        try:
            with self._counted(self._needed, needing):
                yield
        finally:
            self._waiting -= 1
            self._waited_s = asyncio.get_running_loop().time()
            self._look()

    @contextmanager
    def holding(self, media: Collection[MediumId]) -> Iterator[None]:
        """Say that what can wait has locked ``media``, or is about to, while the block runs."""
        with self._counted(self._held, media):
            yield

    async def give_way(self, at_most_s: float = float("inf")) -> None:
        """Return when nobody waits, or after long enough. What is ready to run goes first in any case."""
        await asyncio.sleep(0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(at_most_s, self._give_way_max_s)):
                while not self._free.is_set():  # again: the next may have come when the last had just gone
                    await self._free.wait()

    async def rest(self, for_s: float) -> None:
        """Return after a while if people come to the door these days, but at once if one waits for what is held."""
        if self._waiting or asyncio.get_running_loop().time() - self._waited_s < LATELY_S:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(for_s):
                    await self._wanted.wait()

    @contextmanager
    def _counted(self, counter: Counter[MediumId], media: Collection[MediumId]) -> Iterator[None]:
        counter.update(media)
        self._look()
        try:
            yield
        finally:
            for medium_id in media:
                counter[medium_id] -= 1
                if not counter[medium_id]:
                    del counter[medium_id]
            self._look()

    def _look(self) -> None:
        wanted = bool(self._needed.keys() & self._held.keys())
        _set(self._wanted, to=wanted)
        _set(self._free, to=wanted or self._waiting == 0)


def _set(event: asyncio.Event, *, to: bool) -> None:
    if to:
        event.set()
    else:
        event.clear()
