"""What a run's own timetable says of a row of its pattern."""

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.tracking.fleet import Fleet
from transit.tracking.parameters import Parameters

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


class Plan:
    """Planned times of runs, by vehicle, leg and pattern row; NaN where the run has none."""

    def __init__(self, network: Network, parameters: Parameters) -> None:
        trips = network.trips
        self._parameters = parameters
        self._trip_first = trips.first.astype(np.int64)
        self._arrival_s = trips.arrival_s.astype(np.float64)
        self._departure_s = trips.departure_s.astype(np.float64)
        self._first = network.patterns.first.astype(np.int64)
        # a feed that times every stop does not say where its buses wait; one that times a few does
        self._timing_point = trips.given if not trips.given.all() else np.zeros(len(trips.given), dtype=np.bool_)

    def trust(self, fleet: Fleet, vehicle: Index, leg: int) -> Floats:
        """Return how many observed runs the plan of each vehicle's run is worth."""
        scheduled = self.scheduled(fleet, vehicle, leg)
        return np.where(scheduled, self._parameters.timetable_weight, self._parameters.template_weight)

    def scheduled(self, fleet: Fleet, vehicle: Index, leg: int) -> npt.NDArray[np.bool_]:
        """Return whether each vehicle's run has a timetable."""
        return np.asarray((fleet.run_scheduled[vehicle, leg] > 0) & (fleet.run_trip[vehicle, leg] >= 0), dtype=np.bool_)

    def step_s(self, fleet: Fleet, vehicle: Index, leg: int, row: Index) -> Floats:
        """Return the planned seconds from the row before, arrival to arrival; from a first stop: departure to it."""
        at, known = self._at(fleet, vehicle, leg, row)
        inner = row > self._first[fleet.run_pattern[vehicle, leg]]
        before = np.maximum(at - 1, 0)
        begins = row == self._first[fleet.run_pattern[vehicle, leg]] + 1
        step = self._arrival_s[at] - np.where(begins, self._departure_s[before], self._arrival_s[before])
        return np.where(known & inner & (step > 0), step, np.nan)

    def arrival_ms(self, fleet: Fleet, vehicle: Index, leg: int, row: Index) -> Floats:
        """Return the planned arrival; NaN without timetable."""
        at, _ = self._at(fleet, vehicle, leg, row)
        planned = fleet.run_zero_ms[vehicle, leg] + 1000.0 * self._arrival_s[at]
        return np.where(self.scheduled(fleet, vehicle, leg), planned, np.nan)

    def departure_ms(self, fleet: Fleet, vehicle: Index, leg: int, row: Index) -> Floats:
        """Return the planned departure; NaN without timetable."""
        at, _ = self._at(fleet, vehicle, leg, row)
        planned = fleet.run_zero_ms[vehicle, leg] + 1000.0 * self._departure_s[at]
        return np.where(self.scheduled(fleet, vehicle, leg), planned, np.nan)

    def timing_point(self, fleet: Fleet, vehicle: Index, leg: int, row: Index) -> npt.NDArray[np.bool_]:
        """Return whether the feed times that stop itself, among others that it does not."""
        at, known = self._at(fleet, vehicle, leg, row)
        return np.asarray(known & self._timing_point[at], dtype=np.bool_)

    def _at(self, fleet: Fleet, vehicle: Index, leg: int, row: Index) -> tuple[Index, npt.NDArray[np.bool_]]:
        trip, pattern = fleet.run_trip[vehicle, leg], fleet.run_pattern[vehicle, leg]
        known = trip >= 0
        at = self._trip_first[np.maximum(trip, 0)] + row - self._first[pattern]
        return np.where(known, at, 0), known
