"""What a run's own timetable says of a row of its pattern."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.tracking.fleet import Fleet
from transit.tracking.parameters import Parameters
from transit.tracking.ragged import Owners

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Runs as the timetable knows them: one entry per run, or per row of one."""

    first: Index  # row of the pattern's first stop
    shift: Index  # from a row of the pattern to that of the trip
    zero_ms: Index  # from when the times count
    known: Bools  # there is a trip …
    scheduled: Bools  # … and its times are meant

    def each(self, owners: Owners) -> "Runs":
        """Return each run at all rows of its owner."""
        return Runs(*(owners.each(getattr(self, name)) for name in self.__slots__))


class Plan:
    """Planned times of runs by pattern row; NaN where the run has none."""

    def __init__(self, network: Network, parameters: Parameters) -> None:
        trips = network.trips
        self._parameters = parameters
        self._trip_first = trips.first.astype(np.int64)
        self._arrival_s, self._departure_s = trips.arrival_s, trips.departure_s
        self._first = network.patterns.first.astype(np.int64)
        # a feed that times every stop does not say where its buses wait; one that times a few does
        self._timing_point = trips.given if not trips.given.all() else np.zeros(len(trips.given), dtype=np.bool_)

    def runs(self, fleet: Fleet, vehicle: Index, leg: int) -> Runs:
        """Return the runs of vehicles as this leg."""
        trip, first = fleet.run_trip[vehicle, leg], self._first[fleet.run_pattern[vehicle, leg]]
        return Runs(
            first,
            self._trip_first[np.maximum(trip, 0)] - first,
            fleet.run_zero_ms[vehicle, leg],
            trip >= 0,
            self.scheduled(fleet, vehicle, leg),
        )

    def trust(self, runs: Runs) -> Floats:
        """Return how many observed runs the plan of each run is worth."""
        return np.where(runs.scheduled, self._parameters.timetable_weight, self._parameters.template_weight)

    def scheduled(self, fleet: Fleet, vehicle: Index, leg: int) -> Bools:
        """Return whether each vehicle's run has a timetable."""
        return np.asarray((fleet.run_scheduled[vehicle, leg] > 0) & (fleet.run_trip[vehicle, leg] >= 0), dtype=np.bool_)

    def step_s(self, runs: Runs, row: Index) -> Floats:
        """Return the planned seconds from the row before, arrival to arrival; from a first stop: departure to it."""
        at = _at(runs, row)
        before = np.maximum(at - 1, 0)
        since_s = self._arrival_s[before]
        begins = np.flatnonzero(row == runs.first + 1)
        since_s[begins] = self._departure_s[before[begins]]
        step = self._arrival_s[at] - since_s
        return np.where(runs.known & (row > runs.first) & (step > 0), step, np.nan)

    def arrival_ms(self, runs: Runs, row: Index) -> Floats:
        """Return the planned arrival; NaN without timetable."""
        return np.where(runs.scheduled, runs.zero_ms + 1000.0 * self._arrival_s[_at(runs, row)], np.nan)

    def departure_ms(self, runs: Runs, row: Index) -> Floats:
        """Return the planned departure; NaN without timetable."""
        return np.where(runs.scheduled, runs.zero_ms + 1000.0 * self._departure_s[_at(runs, row)], np.nan)

    def timing_point(self, runs: Runs, row: Index) -> Bools:
        """Return whether the feed times that stop itself, among others that it does not."""
        return np.asarray(runs.known & self._timing_point[_at(runs, row)], dtype=np.bool_)


def _at(runs: Runs, row: Index) -> Index:
    """Return the rows of the trips, 0 where there is none."""
    return np.where(runs.known, row + runs.shift, 0)
