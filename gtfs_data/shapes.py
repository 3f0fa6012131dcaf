"""Lines in metres, and where along them each stop lies.

A stop's place on a line is not simply the nearest: lines cross themselves, run out and back on one street, and serve a
stop twice. Every pass of the line by the stop is a candidate, and the cheapest sequence of candidates with offsets that
never decrease is found by dynamic programming (the idea is Viterbi's). A stop that fits nowhere (a wrong shape) is put
between its neighbours, and its large gap says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyproj

Floats = npt.NDArray[np.float64]

CANDIDATES_MAX: Final = 12  # passes of one line by one stop; a tram round a block has three
NEAR_M: Final = 400.0  # a pass further from the stop than this, and than its nearest pass, is none
UNPLACED_COST: Final = 300.0**2  # leaving a stop unplaced is as bad as a gap of this many metres
SURPLUS_WEIGHT: Final = 4e-4  # a kilometre more along the line than between the stops costs as much as a 20 m gap
HINT_WEIGHT: Final = 1e-2  # 100 m off shape_dist_traveled cost as much as a 10 m gap
BACKWARDS_SHARE: Final = 0.25  # a line is turned round if that leaves less than this share of the cost


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Stops on a line: offsets that never decrease, and how far each stop lies from its place."""

    offset_m: Floats
    gap_m: Floats
    backwards: bool  # the line had to be turned round


def utm_epsg(lat: Floats, lon: Floats) -> int:
    """Return the EPSG code of the UTM zone (WGS 84) of the places' median."""
    middle_lat, middle_lon = float(np.median(lat)), float(np.median(lon))
    zone = min(int((middle_lon + 180.0) // 6.0) + 1, 60)
    return (32_600 if middle_lat >= 0 else 32_700) + zone


def to_metres(epsg: int, lat: Floats, lon: Floats) -> Floats:
    """Return places as [n, 2] metres east and north in ``epsg``."""
    x, y = pyproj.Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    return np.column_stack([x, y]).astype(np.float64).reshape(-1, 2)


def offsets_along(line: Floats) -> Floats:
    """Return the distance of each vertex from the first."""
    steps = np.hypot(*np.diff(line, axis=0).T) if len(line) > 1 else np.zeros(0)
    return np.concatenate([[0.0], np.cumsum(steps)])


def is_line(line: Floats) -> bool:
    """Return whether vertices make a line: two different ones at least, all finite."""
    return len(line) >= 2 and bool(np.isfinite(line).all()) and float(np.ptp(line, axis=0).max()) > 1.0


def place(line: Floats, stops: Floats, hints_m: Floats | None = None) -> Placed:
    """Place ``stops`` [n, 2], in order of service, on ``line`` [m, 2].

    ``hints_m`` are offsets the feed claims (shape_dist_traveled, scaled), NaN where it claims none.
    """
    hints = np.full(len(stops), np.nan) if hints_m is None else hints_m
    cost, forward = _place(line, stops, hints)
    if cost > UNPLACED_COST:
        length_m = float(offsets_along(line)[-1])
        turned_cost, turned = _place(line[::-1], stops, length_m - hints)
        if turned_cost < BACKWARDS_SHARE * cost:
            return Placed(turned.offset_m, turned.gap_m, backwards=True)
    return forward


def _place(line: Floats, stops: Floats, hints: Floats) -> tuple[float, Placed]:
    along = offsets_along(line)
    gaps, offsets = _candidates(line, along, stops)
    straight = np.concatenate([[0.0], np.hypot(*np.diff(stops, axis=0).T)])
    chosen, cost = _cheapest(gaps, offsets, straight, hints)
    offset_m = np.array([offsets[k][c] if c >= 0 else np.nan for k, c in enumerate(chosen)])
    offset_m = np.maximum.accumulate(_between(offset_m, np.cumsum(straight), float(along[-1])))
    on_line = np.column_stack([np.interp(offset_m, along, line[:, 0]), np.interp(offset_m, along, line[:, 1])])
    return cost, Placed(offset_m, np.hypot(*(stops - on_line).T), backwards=False)


def _candidates(line: Floats, along: Floats, stops: Floats) -> tuple[list[Floats], list[Floats]]:
    """Return, per stop, the gaps and offsets of the passes of the line: local minima of the distance.

    A foot inside a segment is a minimum whatever the neighbours say: after a turn on the spot two neighbours pass the
    stop on one street, and both passes count.
    """
    x, y = np.ascontiguousarray(line[:-1, 0]), np.ascontiguousarray(line[:-1, 1])
    step_x, step_y = np.diff(line[:, 0]), np.diff(line[:, 1])
    length2 = np.maximum(step_x**2 + step_y**2, 1e-9)
    along, length = along[:-1], np.sqrt(length2)
    gaps, offsets = [], []
    for stop_x, stop_y in stops.tolist():
        east, north = stop_x - x, stop_y - y
        foot = (east * step_x + north * step_y) / length2
        share = np.minimum(np.maximum(foot, 0.0), 1.0)
        gap = np.hypot(share * step_x - east, share * step_y - north)
        offset = along + share * length
        falls = np.ones(len(gap) + 1, dtype=np.bool_)  # whether the distance does not rise into segment i
        rises = np.ones(len(gap) + 1, dtype=np.bool_)
        np.less_equal(gap[1:], gap[:-1], out=falls[1:-1])
        np.less_equal(gap[:-1], gap[1:], out=rises[1:-1])
        lowest = np.flatnonzero(((foot > 0.0) & (foot < 1.0)) | (falls[:-1] & rises[1:]))
        lowest = lowest[gap[lowest] <= max(NEAR_M, float(gap.min()) + 1.0)]
        apart = np.diff(offset[lowest]) > 5.0
        if not apart.all():  # neighbouring segments meet in one vertex: one pass, the nearest, not two
            passing = np.concatenate([[0], np.cumsum(apart)])
            nearest = np.lexsort((gap[lowest], passing))
            lowest = lowest[nearest[np.diff(passing, prepend=-1) > 0]]
        lowest = np.sort(lowest[np.argsort(gap[lowest], kind="stable")[:CANDIDATES_MAX]])
        gaps.append(gap[lowest])
        offsets.append(offset[lowest])
    return gaps, offsets


def _cheapest(
    gaps: Sequence[Floats], offsets: Sequence[Floats], straight: Floats, hints: Floats
) -> tuple[list[int], float]:
    """Return the candidate of each stop (-1: unplaced) of the cheapest sequence, and its cost.

    States of stop k are its candidates, and last "unplaced", which keeps the offset reached before it; ``reached`` and
    ``walked`` are the offset of the last placed stop of each state and the straight way since.
    """
    reached, walked, total = np.array([-1.0]), np.array([0.0]), np.array([0.0])
    back: list[npt.NDArray[np.int64]] = []
    for gap, offset, step, hint in zip(gaps, offsets, straight, hints, strict=True):
        walked = walked + step
        ahead = offset[None, :] - reached[:, None]
        surplus = np.maximum(ahead - 1.3 * walked[:, None] - 100.0, 0.0)
        surplus[reached < 0] = 0.0
        link = np.where((ahead >= -1.0) | (reached < 0)[:, None], SURPLUS_WEIGHT * surplus**2, np.inf)
        own = gap**2 + (HINT_WEIGHT * (offset - hint) ** 2 if np.isfinite(hint) else 0.0)
        table = total[:, None] + link + own[None, :]
        table = np.column_stack([table, total + UNPLACED_COST])
        best = table.argmin(axis=0)
        back.append(best.astype(np.int64))
        total = table[best, np.arange(table.shape[1])]
        reached = np.append(offset, reached[best[-1]])
        walked = np.append(np.zeros(len(offset)), walked[best[-1]])
    state = int(total.argmin())
    cost = float(total[state])
    chosen = []
    for k in range(len(gaps) - 1, -1, -1):
        chosen.append(state if state < len(offsets[k]) else -1)
        state = int(back[k][state])
    return chosen[::-1], cost


def _between(offset_m: Floats, walked_m: Floats, length_m: float) -> Floats:
    """Return offsets with the unplaced ones put between their neighbours, by the straight ways between stops."""
    known = np.isfinite(offset_m)
    if known.all():
        return offset_m
    if not known.any():
        return walked_m * (length_m / walked_m[-1] if walked_m[-1] > length_m else 1.0)
    first, last = int(np.argmax(known)), len(known) - 1 - int(np.argmax(known[::-1]))
    filled = np.interp(walked_m, walked_m[known], offset_m[known])
    filled[:first] = np.maximum(offset_m[first] - (walked_m[first] - walked_m[:first]), 0.0)
    filled[last + 1 :] = np.minimum(offset_m[last] + walked_m[last + 1 :] - walked_m[last], length_m)
    return np.where(known, offset_m, filled)
