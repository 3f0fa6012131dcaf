"""The lines of all patterns: shapes in metres, shared where they can be, with every stop placed on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gtfs_data import fields
from gtfs_data.notices import Code, Notice, Notices, Severity
from gtfs_data.patterns import TripRows
from gtfs_data.read import Tables
from gtfs_data.shapes import Placed, is_line, offsets_along, place, to_metres

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

FAR_M: Final = 100.0  # a stop this far from its line is worth a warning (MobilityData's validator says the same)
WRONG_M: Final = 300.0  # a shape this far from half the stops is another line's
SCALE_SPREAD_MAX: Final = 0.05  # hints of which the unit is not clear are no hints


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Rows of patterns and vertices of lines, framed as in ``network.Patterns``."""

    shape_ids: tuple[str, ...]
    first: Index
    offset_m: Floats
    gap_m: Floats
    line_first: Index
    line_last: Index
    line_xy: Floats
    line_offset_m: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    xy: Floats
    traveled: Floats  # shape_dist_traveled of each vertex, NaN where not given


class _Drawn:
    """Vertices drawn so far: a shape once for all patterns that run on it the same way round."""

    def __init__(self) -> None:
        self.vertices: list[Floats] = []
        self._spans: dict[tuple[str, bool], tuple[int, int]] = {}
        self._total = 0

    def draw(self, line: Floats) -> tuple[int, int]:
        """Add a line; return its first vertex and one past its last."""
        span = (self._total, self._total + len(line))
        self.vertices.append(line)
        self._total += len(line)
        return span

    def draw_once(self, shape_id: str, line: Floats, *, backwards: bool) -> tuple[int, int]:
        """Add the line of a shape unless it is there."""
        key = (shape_id, backwards)
        if key not in self._spans:
            self._spans[key] = self.draw(line[::-1] if backwards else line)
        return self._spans[key]


def place_patterns(
    tables: Tables, rows: TripRows, model: Index, shape_ids: Sequence[str], xy: Floats, epsg: int, notices: Notices
) -> Lines:
    """Return the lines of the patterns whose first trips are ``model`` and whose shapes are ``shape_ids``."""
    shapes = _shapes(tables, set(shape_ids) - {""}, epsg, notices)
    drawn = _Drawn()
    placed_before: dict[tuple[str, bytes], Placed | None] = {}
    kept_ids: list[str] = []
    placed: list[Placed] = []
    spans: list[tuple[int, int]] = []
    for trip, shape_id in zip(model.tolist(), shape_ids, strict=True):
        span = slice(int(rows.first[trip]), int(rows.first[trip + 1]))
        stops, shape = xy[rows.stop[span]], shapes.get(shape_id)
        key = (shape_id, rows.stop[span].tobytes())
        if shape is not None and key not in placed_before:
            placed_before[key] = _on_shape(shape_id, shape, stops, rows.distance[span], notices)
        on_line = placed_before.get(key)
        if shape is not None and on_line is not None:
            kept_ids.append(shape_id)
            spans.append(drawn.draw_once(shape_id, shape.xy, backwards=on_line.backwards))
        else:
            line, on_line = _stop_to_stop(stops)
            kept_ids.append("")
            spans.append(drawn.draw(line))
        placed.append(on_line)
    _say_far(tables, rows, model, kept_ids, [on_line.gap_m for on_line in placed], notices)
    return Lines(
        shape_ids=tuple(kept_ids),
        first=np.concatenate([[0], np.cumsum([len(on_line.offset_m) for on_line in placed])]).astype(np.int64),
        offset_m=np.concatenate([on_line.offset_m for on_line in placed]),
        gap_m=np.concatenate([on_line.gap_m for on_line in placed]),
        line_first=np.array([first for first, _ in spans], dtype=np.int64),
        line_last=np.array([last for _, last in spans], dtype=np.int64),
        line_xy=np.concatenate(drawn.vertices),
        line_offset_m=np.concatenate([offsets_along(line) for line in drawn.vertices]),
    )


def _on_shape(shape_id: str, shape: _Shape, stops: Floats, traveled: Floats, notices: Notices) -> Placed | None:
    """Return the stops of a pattern on its shape, None if the shape is another line's."""
    on_line = place(shape.xy, stops, _hints(shape, traveled))
    off_m = float(np.median(on_line.gap_m))
    if off_m > WRONG_M:
        rule = f"half the stops of a pattern are more than {off_m:.0f} m away; its line is drawn from stop to stop"
        _say(notices, Code.UNUSABLE_SHAPE, shape_id, rule)
        return None
    if on_line.backwards:
        _say(notices, Code.SHAPE_RUNS_BACKWARDS, shape_id, "runs against the order of its stops; turned round")
    return on_line


def _shapes(tables: Tables, wanted: set[str], epsg: int, notices: Notices) -> dict[str, _Shape]:
    table = tables.get("shapes")
    if not len(table) or not wanted:
        return {}
    ids = fields.column(table, "shape_id").to_numpy(dtype=object).astype(str)
    lat, lon = fields.numbers(table, "shape_pt_lat").values, fields.numbers(table, "shape_pt_lon").values
    sequence = fields.numbers(table, "shape_pt_sequence").values
    traveled = fields.numbers(table, "shape_dist_traveled").values
    good = (np.abs(lat) <= 90) & (np.abs(lon) <= 180) & np.isfinite(sequence)
    names, number = np.unique(ids[good], return_inverse=True)
    order = np.lexsort((sequence[good], number.reshape(-1)))
    number = number.reshape(-1)[order]
    xy, traveled = to_metres(epsg, lat[good][order], lon[good][order]), traveled[good][order]
    bounds = np.searchsorted(number, np.arange(len(names) + 1))
    shapes = {}
    for i, name in enumerate(names.tolist()):
        if name not in wanted:
            continue
        span = slice(int(bounds[i]), int(bounds[i + 1]))
        line, along = xy[span], traveled[span]
        fresh = np.append(True, (np.diff(line, axis=0) != 0).any(axis=1))
        if is_line(line[fresh]):
            shapes[name] = _Shape(line[fresh], along[fresh])
        else:
            _say(
                notices,
                Code.UNUSABLE_SHAPE,
                name,
                "needs two different places; lines are drawn from stop to stop instead",
            )
    return shapes


def _hints(shape: _Shape, traveled: Floats) -> Floats | None:
    """Return the offsets that shape_dist_traveled claims, None where feed and shape do not agree on a unit."""
    if np.isnan(traveled).any() or np.isnan(shape.traveled).any():
        return None
    along = offsets_along(shape.xy)
    span = float(shape.traveled[-1] - shape.traveled[0])
    if span <= 0 or (np.diff(shape.traveled) < 0).any() or (np.diff(traveled) < 0).any():
        return None
    fitted = (shape.traveled - shape.traveled[0]) * (along[-1] / span)
    if float(np.abs(fitted - along).max()) > SCALE_SPREAD_MAX * float(along[-1]) + 50.0:
        return None
    return np.asarray(np.interp(traveled, shape.traveled, along), dtype=np.float64)


def _stop_to_stop(stops: Floats) -> tuple[Floats, Placed]:
    """Return a line from stop to stop; stops at one place share a vertex, and a single place gets a metre of line."""
    fresh = np.append(True, (np.diff(stops, axis=0) != 0).any(axis=1))
    line = stops[fresh]
    if len(line) < 2:
        line = np.vstack([line, line + np.array([1.0, 0.0])])
    return line, Placed(offsets_along(line)[np.cumsum(fresh) - 1], np.zeros(len(stops)), backwards=False)


def _say_far(
    tables: Tables, rows: TripRows, model: Index, shape_ids: Sequence[str], gaps: Sequence[Floats], notices: Notices
) -> None:
    ids = fields.texts(tables.get("stops"), "stop_id")
    seen: set[tuple[str, int]] = set()
    for trip, shape_id, gap in zip(model.tolist(), shape_ids, gaps, strict=True):
        for k in np.flatnonzero(gap > FAR_M).tolist():
            stop = int(rows.stop[rows.first[trip] + k])
            if (shape_id, stop) in seen:
                continue
            seen.add((shape_id, stop))
            rule = f"lies {gap[k]:.0f} m from shape {shape_id}; at most {FAR_M:.0f} m are plausible"
            notices.add(
                [
                    Notice(
                        severity=Severity.WARNING,
                        code=Code.STOP_TOO_FAR_FROM_SHAPE,
                        file="stops.txt",
                        row=stop + 2,
                        field="stop_id",
                        value=ids[stop],
                        rule=rule,
                    )
                ]
            )


def _say(notices: Notices, code: Code, shape_id: str, rule: str) -> None:
    notices.add(
        [Notice(severity=Severity.WARNING, code=code, file="shapes.txt", field="shape_id", value=shape_id, rule=rule)]
    )
