"""How well the timetable explains that a vehicle is where it is now, on any of many lines at once.

A run is known by its departure; where its vehicle should be now follows from its stop times. A vehicle on a street that
several lines share is more likely on the line that has a run there at this moment, and hardly on one that has none.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from gtfs_data.calendar import ServiceDay
from gtfs_data.network import Network
from transit.tracking.fleet import Fleet
from transit.tracking.geometry import Geometry
from transit.tracking.parameters import Parameters

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

APART_MS = 10**9  # between the runs of two patterns in one ordered list of all: longer than three days
AROUND = np.arange(-3, 3)  # runs looked at, before and after the one that the usual running time suggests


class Fit:
    """The runs of the days around now. ``renew`` must be called before anything is asked, and when the days change."""

    def __init__(self, network: Network, geometry: Geometry, parameters: Parameters) -> None:
        self._geometry, self._trips, self._parameters = geometry, network.trips, parameters
        self._without_timetable = np.zeros(len(network.patterns), dtype=np.bool_)
        self._without_timetable[network.trips.pattern[~network.trips.scheduled]] = True
        self._usual_s = _usual_s(network)
        self._after_ms = 0
        self._key = np.zeros(0, dtype=np.int64)
        self._trip, self._zero_ms = self._key, self._key

    def renew(self, days: Iterable[ServiceDay]) -> None:
        """Take the runs of ``days``."""
        kept = list(days)
        self._after_ms = min(day.zero_ms for day in kept) - 86_400_000
        trip = np.concatenate([day.trip.astype(np.int64) for day in kept])
        start_ms = np.concatenate([day.start_ms for day in kept])
        zero_ms = np.concatenate([day.zero_ms + 1000 * day.shift_s.astype(np.int64) for day in kept])
        key = self._keys(self._trips.pattern[trip].astype(np.int64), start_ms)
        order = np.argsort(key, kind="stable")
        self._key, self._trip, self._zero_ms = key[order], trip[order], zero_ms[order]

    def taken(self, fleet: Fleet) -> Bools:
        """Return which runs had a vehicle at the last fixed moment: what others take meanwhile comes too late."""
        busy = np.flatnonzero(fleet.claim_pattern[: len(fleet)] >= 0)
        key = self._keys(fleet.claim_pattern[busy], fleet.claim_start_ms[busy])
        at = np.searchsorted(self._key, key)
        found = at < len(self._key)
        found[found] = self._key[at[found]] == key[found]
        taken = np.zeros(len(self._key), dtype=np.bool_)
        taken[at[found]] = True
        return taken

    def cost_s(self, pattern: Index, offset_m: Floats, now_ms: Index, taken: Bools | None = None) -> Floats:
        """Return how far off its plan a vehicle is that is there now, on the likeliest run that nobody has taken.

        Seconds late, or seconds early times ``early_weight``; infinite where no run explains it; 0 on lines without a
        timetable, and on all where these days have no run at all: then the calendar says nothing.
        """
        if not len(self._key):
            return np.zeros(len(pattern))
        geometry, trips, parameters = self._geometry, self._trips, self._parameters
        row = geometry.row_at(pattern, offset_m)
        after = np.minimum(row + 1, geometry.first[pattern + 1] - 1)
        share = self._share(row, after, offset_m)
        usual_s = self._usual_s[row] + share * (self._usual_s[after] - self._usual_s[row])
        key = self._keys(pattern, now_ms - (1000 * usual_s).astype(np.int64))
        at = np.searchsorted(self._key, key)[:, None] + AROUND
        run = np.clip(at, 0, len(self._key) - 1)
        trip = self._trip[run]
        real = (at == run) & (trips.pattern[trip] == pattern[:, None])
        if taken is not None:
            real &= ~taken[run]
        place = (row - geometry.first[pattern])[:, None]
        last = (trips.first[trip + 1] - trips.first[trip] - 1).astype(np.int64)
        here = trips.first[trip] + np.minimum(place, last)
        there = trips.first[trip] + np.minimum(place + 1, last)
        left_s = trips.departure_s[here].astype(np.float64)
        planned_s = left_s + share[:, None] * (trips.arrival_s[there] - left_s)
        late_s = (now_ms[:, None] - self._zero_ms[run]) / 1000 - planned_s
        cost_s = np.where(late_s >= 0, late_s, -late_s * parameters.early_weight)
        real &= (late_s <= parameters.run_late_max_s) & (late_s >= -parameters.run_early_max_s)
        best_s = np.where(real, cost_s, np.inf).min(axis=1)
        return np.where(self._without_timetable[pattern], 0.0, best_s)

    def planned_s(self, pattern: Index, from_m: Floats, to_m: Floats, now_ms: Index) -> tuple[Floats, Index]:
        """Return what a run about now is given from one place to another of each pattern, and the stops between.

        0 seconds where no run is planned and on lines without a timetable: a template's pace is only a shape.
        """
        first = self._geometry.first[pattern]
        row, row_to = self._geometry.row_at(pattern, from_m), self._geometry.row_at(pattern, to_m)
        if not len(self._key):
            return np.zeros(len(pattern)), row_to - row
        key = self._keys(pattern, now_ms - (1000 * self._usual_s[row_to]).astype(np.int64))
        after = np.clip(np.searchsorted(self._key, key), 1, len(self._key) - 1)
        run = np.where(key - self._key[after - 1] <= self._key[after] - key, after - 1, after)
        trip = self._trip[run]
        known = (self._trips.pattern[trip] == pattern) & ~self._without_timetable[pattern]
        start = np.where(known, self._trips.first[trip] - first, 0)  # from rows of patterns to stop times of trips
        planned_s = self._planned_at(start, pattern, row_to, to_m) - self._planned_at(start, pattern, row, from_m)
        return np.where(known, planned_s, 0.0), row_to - row

    def _planned_at(self, start: Index, pattern: Index, row: Index, offset_m: Floats) -> Floats:
        after = np.minimum(row + 1, self._geometry.first[pattern + 1] - 1)
        left_s = self._trips.departure_s[start + row].astype(np.float64)
        share = self._share(row, after, offset_m)
        return np.asarray(left_s + share * (self._trips.arrival_s[start + after] - left_s), dtype=np.float64)

    def _share(self, row: Index, after: Index, offset_m: Floats) -> Floats:
        """Return how far between two stops a place is, 0 to 1."""
        length_m = self._geometry.offset_m[after] - self._geometry.offset_m[row]
        return np.clip((offset_m - self._geometry.offset_m[row]) / np.maximum(length_m, 1.0), 0.0, 1.0)

    def _keys(self, pattern: Index, start_ms: Index) -> Index:
        return np.asarray(pattern * APART_MS + np.clip(start_ms - self._after_ms, 0, APART_MS - 1), dtype=np.int64)


def _usual_s(network: Network) -> Floats:
    """Return the mean planned time from the first stop, by pattern row."""
    trips = network.trips
    stops = np.diff(trips.first).astype(np.int64)
    owner = np.repeat(np.arange(len(stops)), stops)
    first = trips.first[:-1].astype(np.int64)
    row = network.patterns.first[trips.pattern[owner]] + np.arange(len(owner)) - first[owner]
    since_s = (trips.arrival_s - trips.departure_s[first][owner]).astype(np.float64)
    rows = len(network.patterns.stop)
    total_s = np.bincount(row, weights=since_s, minlength=rows)
    return np.asarray(total_s / np.maximum(np.bincount(row, minlength=rows), 1), dtype=np.float64)
