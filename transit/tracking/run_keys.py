"""The names of runs and of what is expected of them, put together once for as long as a vehicle is on a run.

A run is known by its trip, service day, pattern and departure. What it was called last is kept for each vehicle and
leg; whoever asks says which run it means, so that what is kept is never wrong, only sometimes of another run.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from transit.tracking.fleet import LEGS, Fleet

Index = npt.NDArray[np.int64]
Names = npt.NDArray[np.object_]
Run = tuple[Index, Index, Index, Index]  # trip, service day, pattern and departure of many


class RunKeys:
    """What the last known run of each vehicle and leg is called."""

    def __init__(self, name: Callable[[int, int, int, int], str]) -> None:
        self._name = name
        self._run = np.zeros((4, 0), dtype=np.int64)
        self._keys = np.zeros((2, 0), dtype=np.object_)

    def of(self, fleet: Fleet, vehicle: Index, leg: Index | int, run: Run) -> tuple[Names, Names]:
        """Return the key of each ``run``, and with what the keys of arrivals of ``vehicle`` on it begin."""
        place = vehicle * LEGS + leg
        self._grow(int(place.max(initial=-1)) + 1)
        asked = np.stack(run)
        new = np.flatnonzero((self._run[:, place] != asked).any(axis=0))
        for at, facts in zip(new.tolist(), asked[:, new].T.tolist(), strict=True):
            key = self._name(*facts)
            self._keys[:, place[at]] = key, f"{fleet.vehicle_ids[vehicle[at]]}|{key}|"
        self._run[:, place[new]] = asked[:, new]
        keys, leads = self._keys[:, place]
        return keys, leads

    def _grow(self, size: int) -> None:
        more = size - self._run.shape[1]
        if more > 0:
            never = np.full((4, max(more, size)), np.iinfo(np.int64).min)
            self._run = np.concatenate([self._run, never], axis=1)
            self._keys = np.concatenate([self._keys, np.zeros((2, never.shape[1]), dtype=np.object_)], axis=1)
