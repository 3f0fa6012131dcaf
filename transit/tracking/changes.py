"""Turn predictions into what is published: only what a board or a map would show differently leaves the process."""

import numpy as np
import numpy.typing as npt

from transit.model import Arrival, ArrivalKey
from transit.tracking.fleet import LEGS, Fleet
from transit.tracking.geometry import Geometry
from transit.tracking.parameters import Parameters
from transit.tracking.predictions import Predictions
from transit.tracking.ragged import expand, heads
from transit.tracking.wording import Wording

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


class Publisher:
    """Decides what is published; what is published now is kept in ``Fleet.shown_…``."""

    def __init__(self, geometry: Geometry, wording: Wording, parameters: Parameters) -> None:
        self._geometry, self._wording, self._parameters = geometry, wording, parameters

    def arrivals(
        self, fleet: Fleet, vehicle: Index, predictions: Predictions, now_ms: int
    ) -> tuple[list[Arrival], list[ArrivalKey]]:
        """Return what became different for ``vehicle`` (each once, ascending) and what is no longer expected."""
        withdrawn = self._other_runs(fleet, vehicle)
        shown_ms, cell = fleet.shown_ms.reshape(-1), predictions.cells(fleet.shown_ms.shape)
        shown = shown_ms[cell]
        step_ms = np.maximum(
            self._parameters.publish_step_s * 1000, self._parameters.publish_share * (predictions.arrival_ms - now_ms)
        )
        kind = fleet.departed[predictions.vehicle] != fleet.shown_departed[predictions.vehicle]
        different = (shown == 0) | kind | (np.abs(predictions.arrival_ms - shown) >= step_ms)
        fleet.shown_departed[vehicle] = fleet.departed[vehicle]
        withdrawn += self._passed(fleet, vehicle, predictions)
        news = np.flatnonzero(different)
        shown_ms[cell[news]] = predictions.arrival_ms[news]
        return self._wording.arrivals(fleet, predictions.pick(news)), withdrawn

    def withdraw(self, fleet: Fleet, vehicle: Index) -> list[ArrivalKey]:
        """Take back everything published for ``vehicle``."""
        keys: list[ArrivalKey] = []
        for leg in range(LEGS):
            keys += self._withdraw_rows(
                fleet, vehicle, leg, fleet.shown_first[vehicle, leg], fleet.shown_last[vehicle, leg]
            )
            fleet.shown_first[vehicle, leg] = fleet.shown_last[vehicle, leg] = 0
            fleet.shown_pattern[vehicle, leg] = -1
        return keys

    def _other_runs(self, fleet: Fleet, vehicle: Index) -> list[ArrivalKey]:
        """Withdraw what is shown of runs that the vehicles are no longer on, and note the runs they are on now."""
        keys: list[ArrivalKey] = []
        for leg in range(LEGS):
            same = (
                (fleet.shown_pattern[vehicle, leg] == fleet.run_pattern[vehicle, leg])
                & (fleet.shown_trip[vehicle, leg] == fleet.run_trip[vehicle, leg])
                & (fleet.shown_start_ms[vehicle, leg] == fleet.run_start_ms[vehicle, leg])
            )
            changed = vehicle[~same]
            keys += self._withdraw_rows(
                fleet, changed, leg, fleet.shown_first[changed, leg], fleet.shown_last[changed, leg]
            )
            fleet.shown_first[changed, leg] = fleet.shown_last[changed, leg] = 0
            for shown, run in (
                (fleet.shown_pattern, fleet.run_pattern),
                (fleet.shown_trip, fleet.run_trip),
                (fleet.shown_start_ms, fleet.run_start_ms),
                (fleet.shown_day, fleet.run_day),
            ):
                shown[changed, leg] = run[changed, leg]
        return keys

    def _passed(self, fleet: Fleet, vehicle: Index, predictions: Predictions) -> list[ArrivalKey]:
        """Withdraw stops that are shown but no longer predicted: passed, or beyond the horizon."""
        keys: list[ArrivalKey] = []
        size = len(fleet)
        for leg in range(LEGS):
            mine = np.flatnonzero(predictions.leg == leg)
            of, stop = predictions.vehicle[mine], predictions.place[mine]
            head = heads(of)
            low, high = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
            low[of[head]] = stop[head]
            high[of] = stop + 1  # in order: the last one stays
            new_first, new_last = low[vehicle], high[vehicle]
            old_first, old_last = fleet.shown_first[vehicle, leg], fleet.shown_last[vehicle, leg]
            keys += self._left_out(fleet, of, stop, leg)
            none = new_last == 0
            new_first = np.where(none, old_last, new_first)
            new_last = np.where(none, old_last, new_last)
            keys += self._withdraw_rows(fleet, vehicle, leg, old_first, np.minimum(new_first, old_last))
            keys += self._withdraw_rows(fleet, vehicle, leg, np.maximum(new_last, old_first), old_last)
            fleet.shown_first[vehicle, leg] = np.where(none, 0, new_first)
            fleet.shown_last[vehicle, leg] = np.where(none, 0, new_last)
        return keys

    def _left_out(self, fleet: Fleet, vehicle: Index, place: Index, leg: int) -> list[ArrivalKey]:
        """Withdraw stops between others that are predicted: a detour leaves them out."""
        gap = np.flatnonzero((vehicle[1:] == vehicle[:-1]) & (np.diff(place) > 1))
        return self._withdraw_rows(fleet, vehicle[gap], leg, place[gap] + 1, place[gap + 1]) if len(gap) else []

    def _withdraw_rows(self, fleet: Fleet, vehicle: Index, leg: int, first: Index, last: Index) -> list[ArrivalKey]:
        owner, place = expand(first, last)
        if not len(owner):
            return []
        row_of = vehicle[owner]
        shown = fleet.shown_ms[row_of, leg, place] > 0
        owner, place, row_of = owner[shown], place[shown], row_of[shown]
        fleet.shown_ms[row_of, leg, place] = 0
        row = self._geometry.first[fleet.shown_pattern[row_of, leg]] + place
        return self._wording.withdrawn(fleet, row_of, leg, row)

    def published(self, fleet: Fleet, predictions: Predictions) -> list[Arrival]:
        """Return the predictions that are shown now, whether changed or not."""
        shown = fleet.shown_ms.reshape(-1)[predictions.cells(fleet.shown_ms.shape)] > 0
        return self._wording.arrivals(fleet, predictions.pick(np.flatnonzero(shown)))
