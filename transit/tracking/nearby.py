"""Which pieces of lines are near a point, wherever it is: an STRtree of their segments (for places not known before).

Variants of a line share most of their pieces: those drawn alike are in the tree once. Distances are worked out on the
columns of ``segments``, which takes a twentieth of the time that geometry objects do.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from transit.tracking.ragged import expand, first_minimum, heads
from transit.tracking.segments import Segments

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Close:
    """The nearest place of each piece that is near a point; ``point`` is the point's number."""

    point: Index
    piece: Index
    offset_m: Floats  # along the pattern's line
    gap_m: Floats


class Pieces:
    """Finds among the pieces numbered ``piece``."""

    def __init__(self, segments: Segments, piece: Index) -> None:
        self._segments = segments
        first = np.searchsorted(segments.piece, np.arange(int(segments.piece[-1]) + 2)).astype(np.int64)
        drawn, alike = _alike(segments, piece, first)
        order = np.argsort(alike, kind="stable")
        self._piece = piece[order]  # those drawn alike together
        self._ends = np.searchsorted(alike[order], np.arange(len(drawn) + 1)).astype(np.int64)
        self._first = first
        # the last segment of each piece has no length: its place is the end of the one before
        self._shape, self._segment = expand(first[drawn], first[drawn + 1] - 1)
        begins, ends = (np.column_stack([segments.x[at], segments.y[at]]) for at in (self._segment, self._segment + 1))
        lines = shapely.linestrings(np.stack([begins, ends], axis=1))
        self._tree = shapely.STRtree(np.asarray(lines, dtype=np.object_))

    def near(self, place: tuple[Floats, Floats], within_m: float) -> Close:
        """Return all pieces within ``within_m`` of each point."""
        x, y = place
        point, found = self._tree.query(shapely.box(x - within_m, y - within_m, x + within_m, y + within_m))
        on_m, gap_m2 = self._segments.nearest(self._segment[found], (x[point], y[point]))
        close = np.flatnonzero(gap_m2 <= within_m**2)
        close = close[np.lexsort((found[close], point[close]))]
        point, found, on_m, gap_m2 = point[close], found[close], on_m[close], gap_m2[close]
        best = first_minimum(heads(point) | heads(self._shape[found]), gap_m2) if len(point) else close
        point, found, on_m, gap_m2 = point[best], found[best], on_m[best], gap_m2[best]
        shape = self._shape[found]
        owner, at = expand(self._ends[shape], self._ends[shape + 1])
        piece = self._piece[at]
        segment = self._first[piece] + (self._segment[found] - self._first[self._piece[self._ends[shape]]])[owner]
        offset_m = self._segments.offset_m[segment] + on_m[owner]
        # lines along one street are equally near, wherever they are cut: the last bits must not rank them
        gap_m = np.asarray(np.round(np.sqrt(gap_m2), 3), dtype=np.float64)
        return Close(point[owner].astype(np.int64), piece, offset_m, gap_m[owner])


def _alike(segments: Segments, piece: Index, first: Index) -> tuple[Index, Index]:
    """Return one of each set of pieces that are drawn alike, and of each piece the number of its set."""
    columns = (segments.x, segments.y)
    drawn = [b"".join(column[first[one] : first[one + 1]].tobytes() for column in columns) for one in piece.tolist()]
    _, chosen, alike = np.unique(np.array(drawn, dtype=np.object_), return_index=True, return_inverse=True)
    return piece[chosen], alike.reshape(-1).astype(np.int64)
