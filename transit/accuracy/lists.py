"""Lists of stops of the feed, to place observed passings in: which one a run followed, and its planned times.

Trips of one route and direction with the same stops and sequences share a list, whatever their shape. Its times are
those of its first trip in order of id, stops without a time of their own placed evenly between those that have one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from gtfs_data.network import Network
from transit.accuracy.forecasts import Codes, Floats

TRIED_MAX: Final = 40  # the commonest lists of a route and direction
FITS: Final = 0.8  # of the passings of a run
UNTIMED_S: Final = 90.0  # from stop to stop where the feed has no time at all
WIDE: Final = 1 << 31


@dataclass(frozen=True, eq=False)
class PlannedList:
    """Stops in order, with planned seconds since the first; ``first_row`` is the row of the network's pattern."""

    stop: Codes
    sequence: Codes
    seconds: Floats
    first_row: int

    @cached_property
    def _place_of(self) -> Mapping[int, int]:
        return {key: place for place, key in enumerate((self.sequence.astype(np.int64) * WIDE + self.stop).tolist())}

    def places(self, sequence: Codes, stop: Codes) -> Codes:
        """Return the place of each (sequence, stop) in the list, -1 where it is not in it."""
        keys = (sequence.astype(np.int64) * WIDE + stop).tolist()
        return np.array([self._place_of.get(key, -1) for key in keys], dtype=np.int32)


class PlannedLists:
    """The lists of a feed."""

    def __init__(self, network: Network) -> None:
        patterns, trips = network.patterns, network.trips
        number = np.argsort(np.array(trips.ids, dtype=object), kind="stable")
        known: dict[tuple[int, int, bytes, bytes], int] = {}
        self._lists: list[PlannedList] = []
        count: list[int] = []
        self._of_route: dict[tuple[int, int], list[int]] = {}
        self._of_trip = np.zeros(len(trips.ids), dtype=np.int64)
        of_pattern: dict[int, int] = {}
        for trip in number.tolist():
            pattern = int(trips.pattern[trip])
            if pattern not in of_pattern:
                rows = patterns.rows(pattern)
                stop, sequence = patterns.stop[rows], patterns.stop_sequence[rows]
                route, direction = int(patterns.route[pattern]), int(patterns.direction[pattern])
                key = (route, direction, stop.tobytes(), sequence.tobytes())
                if key not in known:
                    known[key] = len(self._lists)
                    seconds = _seconds(network, trip)
                    self._lists.append(PlannedList(stop, sequence, seconds, rows.start))
                    count.append(0)
                    self._of_route.setdefault((route, direction), []).append(known[key])
                of_pattern[pattern] = known[key]
            count[of_pattern[pattern]] += 1
            self._of_trip[trip] = of_pattern[pattern]
        for lists in self._of_route.values():
            lists.sort(key=lambda number: -count[number])

    def of(self, trip: int, route: int, direction: int, sequence: Codes, stop: Codes) -> PlannedList | None:
        """Return the list of ``trip``, else the list of the route and direction that fits the passings best."""
        if trip >= 0:
            return self._lists[int(self._of_trip[trip])]
        best, hits = None, 0
        for number in self._of_route.get((route, direction), [])[:TRIED_MAX]:
            found = int((self._lists[number].places(sequence, stop) >= 0).sum())
            if found > hits:
                best, hits = self._lists[number], found
        return best if hits >= FITS * len(stop) else None


def _seconds(network: Network, trip: int) -> Floats:
    rows = network.trips.rows(trip)
    given = np.flatnonzero(network.trips.given[rows])
    places = np.arange(rows.stop - rows.start)
    if not len(given):
        return places * UNTIMED_S
    seconds = np.interp(places, given, network.trips.arrival_s[rows][given].astype(np.float64))
    return np.asarray(seconds - seconds[0])
