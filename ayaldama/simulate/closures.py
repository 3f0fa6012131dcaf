"""A street closed between two stops: buses of all lines over it drive beside it and serve no stop between. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

ASIDE_M: Final = 250.0  # the next street but one
TURN_M: Final = 120.0  # driven along the line while turning off it
STOP_M: Final = 30.0  # the two stops themselves are served


@dataclass(frozen=True, slots=True, eq=False)
class Closure:
    """By pattern, from where to where the street is closed; nowhere on those that do not drive from stop to stop."""

    from_m: Floats
    to_m: Floats
    missed: npt.NDArray[np.bool_]  # by pattern row

    def aside_m(self, pattern: Index, offset_m: Floats) -> Floats:
        """Return how far beside their line buses drive."""
        into_m = np.minimum(offset_m - self.from_m[pattern], self.to_m[pattern] - offset_m)
        return np.asarray(ASIDE_M * np.clip(np.nan_to_num(into_m, nan=-1.0) / TURN_M, 0.0, 1.0))

    def lead(self, pattern: Index, offset_m: Floats, xy: Floats, heading_deg: Floats) -> Floats:
        """Return where buses really are that would be at ``xy`` on their line: to the right of it."""
        right = np.radians(heading_deg + 90.0)
        aside = np.column_stack([np.sin(right), np.cos(right)])
        return np.asarray(xy + self.aside_m(pattern, offset_m)[:, None] * aside)


def closure_of(network: Network, from_stop: str, to_stop: str) -> Closure:
    """Return the closure of the street from one stop to another that lines call at later.

    Raises:
        ValueError: if no line drives from the one to the other with a stop between.
    """
    patterns, ids = network.patterns, network.stops.ids
    from_m, to_m = np.full(len(patterns), np.nan), np.full(len(patterns), np.nan)
    missed = np.zeros(len(patterns.stop), dtype=np.bool_)
    for pattern in range(len(patterns)):
        rows = patterns.rows(pattern)
        calls = [str(ids[stop]) for stop in patterns.stop[rows].tolist()]
        if from_stop not in calls or to_stop not in calls[calls.index(from_stop) + 2 :]:
            continue
        first = calls.index(from_stop)
        last = calls.index(to_stop, first + 2)
        from_m[pattern] = patterns.offset_m[rows.start + first] + STOP_M
        to_m[pattern] = patterns.offset_m[rows.start + last] - STOP_M
        missed[rows.start + first + 1 : rows.start + last] = True
    if not missed.any():
        raise ValueError(f"no line drives from stop {from_stop!r} to {to_stop!r} with a stop between")
    return Closure(from_m, to_m, missed)
