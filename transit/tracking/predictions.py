"""Arrivals expected at the stops ahead, as columns."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """One entry per (vehicle, leg, row), in that order; times in epoch milliseconds."""

    vehicle: Index
    leg: Index
    row: Index  # of the pattern
    place: Index  # the same, counted from the pattern's first stop
    arrival_ms: Index
    p10_ms: Index
    p90_ms: Index
    plain_ms: Index  # what the links alone say, before the timetable is given its weight
    spread_ms: Floats  # one sigma, as assumed
    planned_ms: Index  # 0 without timetable
    waiting: Bools  # the vehicle has not left its first stop

    def pick(self, index: Index) -> "Predictions":
        """Return entries number ``index``."""
        return Predictions(*(getattr(self, name)[index] for name in self.__slots__))

    def cells(self, shape: tuple[int, ...]) -> Index:
        """Return the places of entries in a table [vehicle, leg, place] of that ``shape``, laid out flat."""
        return np.asarray((self.vehicle * shape[1] + self.leg) * shape[2] + self.place, dtype=np.int64)

    def said(self, arrival_ms: Index, p10_ms: Index, p90_ms: Index) -> "Predictions":
        """Return the same entries with other times."""
        return dataclasses.replace(self, arrival_ms=arrival_ms, p10_ms=p10_ms, p90_ms=p90_ms)


def join(one: Predictions, two: Predictions) -> Predictions:
    """Return the entries of both, in order."""
    if not len(two.vehicle):
        return one
    pairs = [(getattr(one, name), getattr(two, name)) for name in Predictions.__slots__]
    joined = Predictions(*(np.concatenate(pair) for pair in pairs))
    return joined.pick(np.lexsort((joined.row, joined.leg, joined.vehicle)))
