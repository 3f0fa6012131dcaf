"""Where the lines are: patterns cut into stop-to-stop pieces, found by place (``nearby``) or by distance along.

Piece number r of the network leads from pattern row r to row r + 1; the first piece of a pattern begins at the start
of its line and the last ends at its end, so that a whole line is covered. A *key* is a distance along a line made
unique in the whole network (``base`` of the pattern + offset), so that one binary search serves all patterns at once.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from gtfs_data.network import Network
from transit.tracking.nearby import Close, Pieces
from transit.tracking.ragged import expand, first_minimum, heads
from transit.tracking.segments import Segments

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Shapes = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """The best place of each hypothesis within its window."""

    offset_m: Floats
    gap_m: Floats
    along: Floats  # cosine between the vehicle's course and the line; NaN without a course


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Places on lines near given points: ``point`` is the point's number."""

    point: Index
    pattern: Index
    offset_m: Floats
    gap_m: Floats


class Geometry:
    """Geometry of one ``Network``, immutable after construction."""

    def __init__(self, network: Network) -> None:
        patterns = network.patterns
        self._to_metres = pyproj.Transformer.from_crs(4326, network.epsg, always_xy=True)
        self.first = patterns.first.astype(np.int64)
        self.pattern_of_row = network.pattern_of_row.astype(np.int64)
        self.offset_m = patterns.offset_m
        self.length_m = patterns.line_offset_m[patterns.line_last - 1]
        self.base = np.concatenate([[0.0], np.cumsum(self.length_m + 1_000.0)])[:-1]
        self.row_key = self.base[self.pattern_of_row] + self.offset_m
        self._stop_xy = network.stops.xy[patterns.stop]
        self._first_tree = shapely.STRtree(
            _points((self._stop_xy[self.first[:-1], 0], self._stop_xy[self.first[:-1], 1]))
        )
        self._build_pieces(network)
        inside = network.stops.xy[np.isfinite(network.stops.xy).all(axis=1)]
        self.bounds = (*inside.min(axis=0), *inside.max(axis=0))

    def metres(self, lat: Floats, lon: Floats) -> tuple[Floats, Floats]:
        """Return places in the network's projection."""
        x, y = self._to_metres.transform(lon, lat)
        return np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)

    def row_at(self, pattern: Index, offset_m: Floats) -> Index:
        """Return the last row whose stop is at or before ``offset_m``, at least the pattern's first."""
        row = np.searchsorted(self.row_key, self.base[pattern] + offset_m, side="right") - 1
        return np.asarray(np.clip(row, self.first[pattern], self.first[pattern + 1] - 1), dtype=np.int64)

    def tangent(self, key: Floats) -> tuple[Floats, Floats]:
        """Return the unit direction of the line at ``key``."""
        segment = self._segments.at(key)
        return self._segments.tangent_x[segment], self._segments.tangent_y[segment]

    def place(self, pattern: Index, offset_m: Floats) -> tuple[Floats, Floats]:
        """Return the places at ``offset_m`` along the lines, in the network's projection."""
        segment, key = self._segments.at(self.base[pattern] + offset_m), self.base[pattern] + offset_m
        on_m = np.clip(key - self._segments.key[segment], 0.0, self._segments.length_m[segment])
        x = self._segments.x[segment] + on_m * self._segments.tangent_x[segment]
        return x, self._segments.y[segment] + on_m * self._segments.tangent_y[segment]

    def degrees(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return latitude and longitude of places in the network's projection."""
        lon, lat = self._to_metres.transform(x, y, direction=pyproj.enums.TransformDirection.INVERSE)
        return np.asarray(lat, dtype=np.float64), np.asarray(lon, dtype=np.float64)

    def match(
        self,
        pattern: Index,
        offset_m: Floats,
        expected_m: Floats,
        reach_m: tuple[Floats, Floats],
        spread_m: Floats,
        place: tuple[Floats, Floats],
        course: tuple[Floats, Floats],
        noise_m: float,
        wrong_way_cost: float,
    ) -> Matches:
        """Return where each vehicle is on its pattern's line, looking only near its last offset.

        ``reach_m`` is how far the window goes back and ahead, ``expected_m`` the progress that its movement suggests,
        ``spread_m`` how far off that may be (one sigma), ``course`` its direction as a unit vector (NaN where unknown).
        Of all pieces in the window the one with the least cost wins: squared distance, improbable progress, driving
        against the line.
        """
        base, length_m = self.base[pattern], self.length_m[pattern]
        low_m, high_m = np.clip(offset_m - reach_m[0], 0.0, length_m), np.minimum(offset_m + reach_m[1], length_m)
        near = self._segments.near(base + low_m, base + high_m, place)
        owner = near.owner
        along = course[0][owner] * near.tangent_x + course[1][owner] * near.tangent_y
        surprise = (near.offset_m - (offset_m + expected_m)[owner]) / spread_m[owner]
        cost = 0.5 / noise_m**2 * near.gap_m2 + 0.5 * surprise**2 + wrong_way_cost * (along < -0.3)
        best = first_minimum(heads(owner), cost)
        return Matches(near.offset_m[best], np.sqrt(near.gap_m2[best]), along[best])

    def near(self, place: tuple[Floats, Floats], within_m: float) -> Candidates:
        """Return every place on any line within ``within_m``, one per pass of the line by the point."""
        return self._passes(self._pieces.near(place, within_m))

    def near_first_stops(self, place: tuple[Floats, Floats], within_m: float) -> tuple[Index, Index]:
        """Return ``(point, pattern)`` of every point within ``within_m`` of the first stop of a pattern."""
        point, pattern = self._first_tree.query(_points(place), predicate="dwithin", distance=within_m)
        return point.astype(np.int64), pattern.astype(np.int64)

    def near_on(self, place: tuple[Floats, Floats], point: Index, pattern: Index, within_m: float) -> Candidates:
        """Return the places within ``within_m`` of point number ``point[i]`` on the line of ``pattern[i]``."""
        asked, count = np.unique(point), len(self.length_m)
        close = self._pieces.near((place[0][asked], place[1][asked]), within_m)
        owner = asked[close.point]
        wanted = np.isin(owner * count + self.pattern_of_row[close.piece], point * count + pattern)
        return self._passes(Close(owner[wanted], close.piece[wanted], close.offset_m[wanted], close.gap_m[wanted]))

    def _passes(self, close: Close) -> Candidates:
        """Keep the nearest piece of each run of neighbouring pieces: one candidate per pass of the line."""
        order = np.lexsort((close.piece, close.point))
        point, piece, gap_m = close.point[order], close.piece[order], close.gap_m[order]
        pattern = self.pattern_of_row[piece]
        new = np.ones(len(piece), dtype=np.bool_)
        new[1:] = (point[1:] != point[:-1]) | (pattern[1:] != pattern[:-1]) | (piece[1:] != piece[:-1] + 1)
        keep = first_minimum(new, gap_m) if len(piece) else order
        return Candidates(point[keep], pattern[keep], close.offset_m[order][keep], gap_m[keep])

    def _along(self, pattern: Index, offset_m: Floats, course_x: Floats, course_y: Floats) -> Floats:
        tangent_x, tangent_y = self.tangent(self.base[pattern] + offset_m)
        return np.asarray(course_x * tangent_x + course_y * tangent_y, dtype=np.float64)

    def from_first_stop(self, pattern: Index, place: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        """Return the way from the first stop of each pattern to ``place``, metres east and north."""
        xy = self._stop_xy[self.first[pattern]]
        return place[0] - xy[:, 0], place[1] - xy[:, 1]

    def from_last_stop(self, pattern: Index, place: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        """Return the way from the last stop of each pattern to ``place``, metres east and north."""
        xy = self._stop_xy[self.first[pattern + 1] - 1]
        return place[0] - xy[:, 0], place[1] - xy[:, 1]

    def along(self, pattern: Index, offset_m: Floats, course: tuple[Floats, Floats]) -> Floats:
        """Return the cosine between ``course`` and the line at ``offset_m``; NaN without a course."""
        return self._along(pattern, offset_m, course[0], course[1])

    def _build_pieces(self, network: Network) -> None:
        """Cut the lines at the stops."""
        owner, vertex = expand(network.patterns.line_first, network.patterns.line_last)
        vertex_xy = network.patterns.line_xy[vertex]
        vertex_key = self.base[owner] + network.patterns.line_offset_m[vertex]
        last_row = self.first[1:] - 1
        start = self.offset_m.copy()
        start[self.first[:-1]] = 0.0
        end = np.append(self.offset_m[1:], 0.0)
        end[last_row - 1] = self.length_m
        start[last_row] = end[last_row] = self.length_m
        base = self.base[self.pattern_of_row]
        inner = np.searchsorted(base + start, vertex_key, side="right") - 1
        inside = (vertex_key > (base + start)[inner]) & (vertex_key < (base + end)[inner])
        rows = np.arange(len(self.row_key))
        piece = np.concatenate([rows, inner[inside], rows])
        key = np.concatenate([base + start, vertex_key[inside], base + end])
        order = np.lexsort((key, piece))
        xy = np.column_stack([np.interp(key, vertex_key, column) for column in vertex_xy.T])[order]
        self._segments = Segments.of(piece[order], xy, start, base)
        self._pieces = Pieces(self._segments, np.setdiff1d(rows, last_row))


def _points(place: tuple[Floats, Floats]) -> Shapes:
    return np.asarray(shapely.points(place[0], place[1]), dtype=np.object_)
