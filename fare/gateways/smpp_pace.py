"""How fast to send to a centre, and how long to wait before binding again. Pure: times and chances are arguments.

A centre that is asked too fast says ESME_RTHROTTLED, and one that is asked again at once throttles for longer. So the
pace halves with each such answer and grows slowly with each success (additive increase, multiplicative decrease, as
TCP does it); binds wait exponentially longer, each by chance somewhere below, so that a city's processes do not storm
a centre that comes back.
"""

from typing import Final

SLOWEST_PER_S: Final = 0.2
GROWTH_PER_S: Final = 0.05  # share of the agreed pace gained by each second of success
THROTTLED_PAUSE_S: Final = 1.0
REBIND_FIRST_S: Final = 1.0
REBIND_MAX_S: Final = 60.0
STEADY_S: Final = 60.0  # a bind that lived so long was a good one


class Pace:
    """Gives each message its moment. ``most_per_s`` is what was agreed with the operator."""

    def __init__(self, most_per_s: float) -> None:
        if not most_per_s > 0:
            raise ValueError(f"smpp: messages per second must be above 0: {most_per_s}")
        self._most_per_s = most_per_s
        self._per_s = most_per_s
        self._next_s = 0.0

    @property
    def per_s(self) -> float:
        """Return messages per second now."""
        return self._per_s

    def wait_s(self, now_s: float) -> float:
        """Return how long the next message must wait; its moment is taken."""
        due_s = max(self._next_s, now_s)
        self._next_s = due_s + 1 / self._per_s
        return due_s - now_s

    def succeeded(self) -> None:
        """Grow: a message was taken."""
        self._per_s = min(self._most_per_s, self._per_s + GROWTH_PER_S * self._most_per_s / max(self._per_s, 1.0))

    def throttled(self, now_s: float) -> None:
        """Halve, and pause: the centre said that this is too fast."""
        self._per_s = max(SLOWEST_PER_S, self._per_s / 2)
        self._next_s = max(self._next_s, now_s + THROTTLED_PAUSE_S)


def rebind_pause_s(failures: int, chance: float) -> float:
    """Return the wait before the bind after ``failures`` in a row; ``chance`` is uniform in [0, 1).

    At least half of the full wait, so that luck does not make a storm.
    """
    full_s = min(REBIND_MAX_S, REBIND_FIRST_S * float(1 << min(max(failures - 1, 0), 10)))
    return full_s * (0.5 + chance / 2)
