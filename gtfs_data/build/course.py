"""The drawn line of a direction, from GeoJSON as free map editors save it."""

from typing import Any, Final

import msgspec
import numpy as np

from gtfs_data.build.model import Course
from gtfs_data.build.problems import Problems
from gtfs_data.build.sheet import decoded
from gtfs_data.notices import Code

VERTICES_MAX: Final = 50_000


class _Geometry(msgspec.Struct, frozen=True):
    type: str
    coordinates: Any = None


class _Feature(msgspec.Struct, frozen=True):
    geometry: _Geometry | None = None


class _File(msgspec.Struct, frozen=True):
    """A collection, one feature or a bare geometry: all three are GeoJSON (RFC 7946, section 3)."""

    type: str
    features: tuple[_Feature, ...] = ()
    geometry: _Geometry | None = None
    coordinates: Any = None


def read_course(file: str, content: bytes, problems: Problems) -> Course | None:
    """Return the one line drawn in ``content``, None after saying why there is none.

    Points and areas beside it are passed over: an operator may mark what they like. A line of one part that an editor
    saved as MultiLineString is taken as the line it is.
    """
    text = decoded(file, content, problems)
    if text is None:
        return None
    try:
        drawn = msgspec.json.decode(text, type=_File)
        geometries = [feature.geometry for feature in drawn.features] + [drawn.geometry]
        geometries.append(_Geometry(drawn.type, drawn.coordinates))
        parts = [part for geometry in geometries if geometry is not None for part in _parts(geometry)]
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        problems.error(Code.FILE_UNREADABLE, file, f"must be GeoJSON: {error}")
        return None
    if len(parts) != 1:
        problems.error(Code.UNUSABLE_SHAPE, file, "must hold exactly one line", field="LineString", value=len(parts))
        return None
    return _course(file, parts[0], problems)


def _parts(geometry: _Geometry) -> list[list[list[float]]]:
    if geometry.type == "LineString":
        return [msgspec.convert(geometry.coordinates, list[list[float]])]
    if geometry.type == "MultiLineString":
        return msgspec.convert(geometry.coordinates, list[list[list[float]]])
    return []


def _course(file: str, positions: list[list[float]], problems: Problems) -> Course | None:
    if len(positions) > VERTICES_MAX:
        problems.error(Code.UNUSABLE_SHAPE, file, f"may have up to {VERTICES_MAX} points", value=len(positions))
        return None
    for place, position in enumerate(positions):
        if len(position) < 2 or not (abs(position[0]) <= 180 and abs(position[1]) <= 90):
            rule = "a point is [longitude, latitude] in degrees"
            problems.error(Code.OUT_OF_RANGE, file, rule, field=f"coordinates[{place}]", value=position)
            return None
    points = np.array([position[:2] for position in positions], dtype=np.float64).reshape(-1, 2)
    moved = np.append(True, (np.diff(points, axis=0) != 0).any(axis=1)) if len(points) else np.zeros(0, dtype=np.bool_)
    if np.count_nonzero(moved) < 2:
        problems.error(Code.UNUSABLE_SHAPE, file, "a line has at least two different points", value=len(points))
        return None
    return Course(file=file, lon_lat=points[moved])
