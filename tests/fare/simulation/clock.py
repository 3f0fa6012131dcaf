"""A clock as devices and servers have it."""

import asyncio
from collections.abc import Callable


class Clock:
    """A clock that is wrong by ``ahead_ms``, which somebody may change, and goes ``drift`` too fast."""

    rate = 1.0

    def __init__(self, true_ms: Callable[[], int], *, ahead_ms: int = 0, drift: float = 0.0) -> None:
        self._true_ms = true_ms
        self.ahead_ms = ahead_ms
        self._drift = drift
        self._since_ms = true_ms()

    def now_ms(self) -> int:
        true_ms = self._true_ms()
        return true_ms + self.ahead_ms + round((true_ms - self._since_ms) * self._drift)

    async def sleep(self, city_s: float) -> None:
        await asyncio.sleep(city_s)
