"""Who holds which run of the timetable: an index over ``Fleet`` that changes only in the order in which reports came.

A vehicle holds the run that it is on and, if its feed tells its trips, the next of its block. ``Fleet.slot`` of one
that has just reported may already say that it left its run, while the turn of an earlier report is still to come; here
it holds the run until its own turn.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from transit.tracking.fleet import LEGS, Fleet
from transit.tracking.runs import Run

Index = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Key = tuple[int, int]  # trip, and when its service day began: a trip runs once a day, or each headway

Name = TypeVar("Name")

NOBODY: Final[tuple[int, ...]] = ()
NO_ROW, SEVERAL = -1, -2


class Claims:
    """Holders of runs by run; who is on a run at all, and was told which."""

    def __init__(self, block_of_trip: Index) -> None:
        self._block = block_of_trip
        self._called: dict[int, list[int]] = {}
        # by word, the last place being that of -1, no word: the one who is called so, or ``SEVERAL``
        self._only = np.full(len(block_of_trip) + int(block_of_trip.max(initial=-1)) + 2, NO_ROW, dtype=np.int64)
        self._of: tuple[dict[Key, list[int]], ...] = tuple({} for _ in range(LEGS))
        self._keys: dict[int, list[Key | None]] = {}
        self._held, self._told = np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.bool_)

    @classmethod
    def of(cls, fleet: Fleet, block_of_trip: Index) -> "Claims":
        """Return the claims of all vehicles of ``fleet``, in which none has left its run since its last turn."""
        claims = cls(block_of_trip)
        for row in np.flatnonzero(fleet.slot[: len(fleet)] >= 0).tolist():
            claims.enter(row, told=bool(fleet.hint_trip[row] >= 0))
            for leg in range(LEGS):
                if fleet.run_scheduled[row, leg] > 0:
                    claims._put(row, leg, (int(fleet.run_trip[row, leg]), int(fleet.run_zero_ms[row, leg])))
        return claims

    def on_run(self, vehicle: Index) -> Bools:
        """Return which vehicles are on a run."""
        self._grow(int(vehicle.max(initial=-1)) + 1)
        return np.asarray(self._held[vehicle], dtype=np.bool_)

    def otherwise(self, vehicle: Index, told: Bools) -> Bools:
        """Return which vehicles on a run hold their next one otherwise than they would: told now, or no longer."""
        return np.asarray(self.on_run(vehicle) & (self._told[vehicle] != told), dtype=np.bool_)

    def enter(self, row: int, *, told: bool) -> None:
        """Let a vehicle be on some run."""
        self._grow(row + 1)
        self._held[row], self._told[row] = True, told

    def hold(self, row: int, leg: int, run: Run) -> None:
        """Let a vehicle on a run hold ``run`` as this leg, instead of what it held."""
        self.drop(row, leg)
        if run.scheduled:
            self._put(row, leg, (run.trip, run.zero_ms))

    def drop(self, row: int, leg: int) -> None:
        """Let a vehicle hold nothing as this leg."""
        keys = self._keys.get(row)
        key = keys[leg] if keys else None
        if keys is None or key is None:
            return
        keys[leg] = None
        _strike(self._of[leg], key, row)
        if leg == 0:
            for word in self._words_of(key[0]):
                _strike(self._called, word, row)
                self._count(word)

    def release(self, row: int) -> None:
        """Let a vehicle be on no run."""
        for leg in range(LEGS):
            self.drop(row, leg)
        self._grow(row + 1)
        self._held[row] = False

    def holders(self, leg: int, run: Run, but: int) -> list[int]:
        """Return who holds ``run`` as this leg, but for one."""
        if not run.scheduled:
            return []
        return [row for row in self._of[leg].get((run.trip, run.zero_ms), NOBODY) if row != but]

    def taken(self, trip: int, zero_ms: int, but: int = -1) -> bool:
        """Return whether a vehicle, other than ``but``, is on this run or is told the run before it."""
        key = (trip, zero_ms)
        now = any(row != but for row in self._of[0].get(key, NOBODY))
        return now or any(row != but and self._told[row] for row in self._of[1].get(key, NOBODY))

    def others(self, but: int) -> Index:
        """Return all vehicles on a run, but for one."""
        rows = np.flatnonzero(self._held)
        return np.asarray(rows[rows != but], dtype=np.int64)

    def words(self, trip: Index, block: Index) -> Index:
        """Return a number for the trip that each vehicle is told, or else for the block; -1 for neither."""
        return np.asarray(np.where(trip >= 0, trip, np.where(block >= 0, len(self._block) + block, -1)), dtype=np.int64)

    def called(self, word: int) -> Sequence[int]:
        """Return who is on a run of that trip or block (``words``)."""
        return self._called.get(word, NOBODY)

    def disputed(self, vehicle: Index, word: Index) -> Bools:
        """Return which vehicles are told a trip or block (``words``) that another is on."""
        only = self._only[word]
        return np.asarray((only != NO_ROW) & (only != vehicle), dtype=np.bool_)

    def _put(self, row: int, leg: int, key: Key) -> None:
        self._of[leg].setdefault(key, []).append(row)
        if leg == 0:
            for word in self._words_of(key[0]):
                self._called.setdefault(word, []).append(row)
                self._count(word)
        self._keys.setdefault(row, [None] * LEGS)[leg] = key

    def _count(self, word: int) -> None:
        rows = self.called(word)
        self._only[word] = SEVERAL if len(rows) > 1 else rows[0] if rows else NO_ROW

    def _words_of(self, trip: int) -> Iterator[int]:
        yield trip
        block = int(self._block[trip])
        if block >= 0:
            yield len(self._block) + block

    def _grow(self, size: int) -> None:
        if size > len(self._held):
            more = np.zeros(max(64, 2 * size) - len(self._held), dtype=np.bool_)
            self._held, self._told = np.concatenate([self._held, more]), np.concatenate([self._told, more])


def _strike(holders_of: dict[Name, list[int]], name: Name, row: int) -> None:
    holders = holders_of[name]
    holders.remove(row)
    if not holders:
        del holders_of[name]
