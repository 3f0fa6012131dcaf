"""The straight parts of all lines, in columns: the nearest place of each piece to a point, without one object made."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transit.tracking.ragged import expand, first_minimum, heads

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Nearby:
    """The nearest place of each piece in the window of each owner."""

    owner: Index
    offset_m: Floats  # along the pattern's line
    gap_m2: Floats  # squared
    tangent_x: Floats  # of the line there
    tangent_y: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """Segments of all pieces (see ``geometry``), in order; each piece ends with one of no length."""

    piece: Index
    x: Floats  # where it begins
    y: Floats
    tangent_x: Floats
    tangent_y: Floats
    length_m: Floats
    offset_m: Floats  # along the pattern's line
    key: Floats

    @classmethod
    def of(cls, piece: Index, xy: Floats, start_m: Floats, base: Floats) -> "Segments":
        """Return the segments between the vertices ``xy`` of each ``piece``.

        Piece number i begins at ``start_m[i]`` of its line, whose keys count from ``base[i]``.
        """
        step = np.diff(xy, axis=0, append=xy[-1:])
        step[:-1][piece[1:] != piece[:-1]] = 0.0
        length_m = np.hypot(step[:, 0], step[:, 1])
        begun_m = np.append(0.0, np.cumsum(length_m)[:-1])
        offset_m = begun_m - begun_m[np.searchsorted(piece, piece)] + start_m[piece]
        # a segment without length has no direction: it takes that of the last segment before it
        source = np.maximum.accumulate(np.where(length_m > 0, np.arange(len(length_m)), 0))
        tangent = step[source] / np.where(length_m[source] > 0, length_m[source], 1.0)[:, None]
        key = np.maximum.accumulate(base[piece] + offset_m)
        return cls(piece, *_columns(xy), *_columns(tangent), length_m, offset_m, key)

    def at(self, key: Floats) -> Index:
        """Return the segment that each ``key`` lies on."""
        return np.maximum(np.searchsorted(self.key, key, side="right") - 1, 0).astype(np.int64)

    def near(self, low_key: Floats, high_key: Floats, place: tuple[Floats, Floats]) -> Nearby:
        """Return the place nearest to ``place[i]`` on each piece, as far as it lies between the keys."""
        # both ends of a window are looked up one after the other: they lie side by side in memory
        ends = np.stack([low_key, np.nextafter(high_key, -np.inf)], axis=1).ravel()
        found = np.searchsorted(self.key, ends, side="right").reshape(-1, 2)
        first = np.maximum(found[:, 0] - 1, 0)
        sizes = np.maximum(found[:, 1] - first, 1)
        owner, segment = expand(first, first + sizes)
        on_m, gap_m2 = self.nearest(segment, (np.repeat(place[0], sizes), np.repeat(place[1], sizes)))
        begins = heads(owner)
        begins[1:] |= np.diff(self.piece[segment]) > 0
        best = first_minimum(begins, gap_m2)
        at = segment[best]
        return Nearby(
            *(owner[best], self.offset_m[at] + on_m[best], gap_m2[best], self.tangent_x[at], self.tangent_y[at])
        )

    def nearest(self, segment: Index, place: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        """Return how far along each ``segment`` the place nearest to ``place[i]`` lies, and its squared distance."""
        # ``take`` and not brackets, ``minimum`` and not ``clip``: half the time, for the same bits
        tangent_x, tangent_y = self.tangent_x.take(segment), self.tangent_y.take(segment)
        east, north = place[0] - self.x.take(segment), place[1] - self.y.take(segment)
        on_m = np.minimum(np.maximum(east * tangent_x + north * tangent_y, 0.0), self.length_m.take(segment))
        return on_m, (east - on_m * tangent_x) ** 2 + (north - on_m * tangent_y) ** 2


def _columns(pairs: Floats) -> tuple[Floats, Floats]:
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
