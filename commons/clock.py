"""The one reader of the clock. Everything else is given the time, or a ``Clock`` when it must wait.

City time may run faster than wall time (a demo or a replay at ``rate`` 10), so whoever waits for a moment of city time
asks the clock how long that is. Times are UTC epoch milliseconds, durations seconds.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """City time: what the wall says, or a recorded day running ``rate`` times as fast."""

    @property
    def rate(self) -> float:
        """City seconds that pass in one second of wall time."""

    def now_ms(self) -> int:
        """Return city time, UTC epoch milliseconds."""

    async def sleep(self, city_s: float) -> None:
        """Wait until ``city_s`` seconds of city time have passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockAnchor:
    """City time was ``city_ms`` when the wall said ``wall_ms``; since then it runs ``rate`` times as fast."""

    wall_ms: int
    city_ms: int
    rate: float = 1.0


class SystemClock:
    """City time by the wall, or by an anchor that all processes of one system share."""

    def __init__(self, anchor: ClockAnchor | None = None) -> None:
        if anchor is not None and not anchor.rate > 0:
            raise ValueError(f"clock.rate must be above 0: {anchor.rate}")
        self._anchor = anchor or ClockAnchor(wall_ms=0, city_ms=0)

    @property
    def rate(self) -> float:
        """City seconds that pass in one second of wall time."""
        return self._anchor.rate

    def now_ms(self) -> int:
        """Return city time, UTC epoch milliseconds."""
        anchor = self._anchor
        return anchor.city_ms + round((wall_ms() - anchor.wall_ms) * anchor.rate)

    async def sleep(self, city_s: float) -> None:
        """Wait until ``city_s`` seconds of city time have passed."""
        await asyncio.sleep(max(city_s, 0.0) / self._anchor.rate)


def wall_ms() -> int:
    """Return what the wall clock says, UTC epoch milliseconds."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Return a clock that never steps, for measuring how long something took."""
    return time.monotonic()
