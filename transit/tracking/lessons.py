"""What passages teach, gathered and taken in at fixed moments.

Between those moments (``rounds``) the rates stand still. Lessons are taken in by order of time, vehicle and row, not by
order of arrival.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

# columns of each kind of lesson; the first three order them
PASSAGE: Final = (
    *("when_ms", "vehicle", "row", "seconds", "base_s", "expected_s", "planned_s", "weight", "dwell_s"),
    *("off_s", "told", "early", "waited"),
)
DEPARTURE: Final = ("when_ms", "vehicle", "start", "late_s", "stood_s")
OUTCOME: Final = ("when_ms", "vehicle", "lead", "route", "waiting", "score", "told", "said_late_s", "was_late_s")

EXCURSION: Final = ("when_ms", "vehicle", "kind", "pattern", "left_ms", "x", "y")  # what happened: see ``detour_book``


class Lessons:
    """Lessons of one kind, waiting to be taken in."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns
        self._parts: list[Floats] = []

    def add(self, **columns: npt.NDArray[np.generic]) -> None:
        """Note some; every column is given, NaN for unknown."""
        if len(columns["when_ms"]):
            self._parts.append(np.stack([columns[name].astype(np.float64) for name in self._columns]))

    def take(self) -> dict[str, Floats]:
        """Return what waits, in order, and forget it."""
        table = self.waiting
        self._parts = []
        return dict(zip(self._columns, table, strict=True))

    @property
    def waiting(self) -> Floats:
        """Return what waits, in order, one row per column; for a checkpoint."""
        if not self._parts:
            return np.zeros((len(self._columns), 0))
        table = np.concatenate(self._parts, axis=1)
        return table[:, np.lexsort(table[::-1])]

    @waiting.setter
    def waiting(self, table: Floats) -> None:
        if table.shape[:1] != (len(self._columns),):
            raise ValueError("checkpoint was written by another tracker: lessons")
        self._parts = [table]
