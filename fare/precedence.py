"""Who waits at a door goes before work that can wait, within one event loop.

Python does one thing at a time: a batch of what can wait, once begun, delays whoever comes meanwhile. So such work is
done in short steps and gives way before each of them. It is never held up for long: those at the door may follow one
another without a gap.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

GIVE_WAY_MAX_S: Final = 0.05


class Precedence:
    """Hold ``first`` while somebody waits; call ``give_way`` before each step of what can wait."""

    def __init__(self, give_way_max_s: float = GIVE_WAY_MAX_S) -> None:
        self._give_way_max_s = give_way_max_s
        self._waiting = 0
        self._free = asyncio.Event()
        self._free.set()

    @contextmanager
    def first(self) -> Iterator[None]:
        """Let what can wait do so while the block runs."""
        self._waiting += 1
        self._free.clear()
        try:
            yield
        finally:
            self._waiting -= 1
            if self._waiting == 0:
                self._free.set()

    async def give_way(self) -> None:
        """Return when nobody waits, or after long enough. What is ready to run goes first in any case."""
        await asyncio.sleep(0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._give_way_max_s):
                while self._waiting:  # again: the next may have come when the last had just gone
                    await self._free.wait()
