"""How fast boards that come back all at once are let in, so that those inside are served meanwhile. Pure.

A board is let in at once, or waits for its turn without costing anything, or is told to come later. The rate is that of
the generic cell rate algorithm (ITU-T I.371): a burst, then one by one.
"""

from typing import Final

RATE_PER_S: Final = 500.0  # half a core or less: opening one connection takes up to a millisecond
BURST: Final = 100
WAIT_MAX_S: Final = 8.0  # a little less than boards wait for a connection to open


class Admission:
    """The door of one server. Times are seconds of any clock that does not step."""

    def __init__(self, *, rate_per_s: float = RATE_PER_S, burst: int = BURST, wait_max_s: float = WAIT_MAX_S) -> None:
        self._apart_s = 1 / rate_per_s
        self._ahead_s = burst / rate_per_s
        self._wait_max_s = wait_max_s
        self._next_s = float("-inf")

    def wait_s(self, now_s: float) -> float | None:
        """Return how long the board that comes now waits for its turn, None if that would be too long."""
        turn_s = max(self._next_s, now_s - self._ahead_s)
        wait_s = max(turn_s - now_s, 0.0)
        if wait_s > self._wait_max_s:
            return None
        self._next_s = turn_s + self._apart_s
        return wait_s


def spread_s(boards: int) -> float:
    """Return over how long so many boards should come back if their server goes away, seconds."""
    return round(boards / RATE_PER_S, 3)
