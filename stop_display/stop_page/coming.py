"""Where the vehicles are that a stop's board shows, and the ways on which they come. Pure.

Only vehicles of the board's rows are told, so the map never says of a bus what the board does not.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import shapely
from pyproj import Transformer

from gtfs_data.network import Floats, Network
from stop_display.model import StopBoard
from stop_display.plan import Plan, PlannedLine
from stop_display.search import name_of
from stop_display.stop_page.model import Approaches, ComingVehicle, MapStop, Stretch
from transit.model import VehiclePosition

STOPS_BEFORE: Final = 25  # more than most lines have left to go where a board still shows minutes
THINNED_TO_M: Final = 3.0
DIGITS: Final = 5  # of a degree: about a metre

PlaceOf = Callable[[str], VehiclePosition | None]


def coming_vehicles(network: Network, board: StopBoard, place_of: PlaceOf) -> list[ComingVehicle]:
    """Return the followed vehicles of ``board``'s rows, in the order of its rows."""
    return [
        _vehicle(network, board.stop, line.key, row.key, vehicle)
        for line in board.lines
        for row in line.arrivals
        if row.vehicle and (vehicle := place_of(row.vehicle)) is not None
    ]


def _vehicle(network: Network, stop: str, line: str, key: str, vehicle: VehiclePosition) -> ComingVehicle:
    next_stop = network.stop_by_id.get(vehicle.next_stop_id)
    heading_deg = vehicle.heading_deg
    return ComingVehicle(
        key=key,
        line=line,
        place=(round(vehicle.lat, DIGITS), round(vehicle.lon, DIGITS)),
        fix_ms=vehicle.fix_ms,
        heading_deg=None if heading_deg is None else round(heading_deg) % 360,
        to_go_m=_to_go_m(network, stop, vehicle),
        next_stop=name_of(network, next_stop) if next_stop is not None else {},
    )


def _to_go_m(network: Network, stop: str, vehicle: VehiclePosition) -> int | None:
    """Return how far a vehicle has to go to a stop that is still ahead on its present pattern."""
    patterns = network.patterns
    if vehicle.offset_m is None or not 0 <= vehicle.pattern < len(patterns):
        return None
    rows = patterns.rows(vehicle.pattern)
    here = patterns.offset_m[rows][patterns.stop[rows] == network.stop_by_id[stop]]
    ahead = here[here >= vehicle.offset_m]
    return round(float(ahead[0]) - vehicle.offset_m) if len(ahead) else None


class ApproachMaps:
    """Draws the approaches to stops; what it needs to turn metres into degrees is made once."""

    def __init__(self, network: Network, plan: Plan) -> None:
        self._network = network
        self._plan = plan
        self._to_degrees = Transformer.from_crs(network.epsg, 4326, always_xy=True)

    def of(self, stop: int) -> Approaches:
        """Return the ways to ``stop``, stretch by stretch; where lines share one it is there once."""
        stretches: dict[tuple[int, int, bytes], tuple[Floats, dict[str, None]]] = {}
        passed: dict[int, None] = {}
        for line in self._plan.lines(stop).values():
            for row in line.rows:
                self._walk(row, line, stretches, passed)
        passed.pop(stop, None)
        return Approaches(
            stop=self._stop(stop),
            stops=[self._stop(one) for one in passed],
            stretches=[Stretch(path=self._degrees(path), lines=list(lines)) for path, lines in stretches.values()],
        )

    def _walk(
        self,
        row: int,
        line: PlannedLine,
        stretches: dict[tuple[int, int, bytes], tuple[Floats, dict[str, None]]],
        passed: dict[int, None],
    ) -> None:
        patterns = self._network.patterns
        pattern = int(self._network.pattern_of_row[row])
        first = max(int(patterns.first[pattern]), row - STOPS_BEFORE)
        for before in range(first, row):
            path = self._between(pattern, float(patterns.offset_m[before]), float(patterns.offset_m[before + 1]))
            ends = int(patterns.stop[before]), int(patterns.stop[before + 1])
            passed[ends[0]] = None
            _, lines = stretches.setdefault((*ends, np.round(path).tobytes()), (path, {}))
            lines[line.key] = None

    def _between(self, pattern: int, from_m: float, to_m: float) -> Floats:
        """Return the vertices of a pattern's line from one offset to another, thinned, at least two."""
        patterns = self._network.patterns
        part = slice(int(patterns.line_first[pattern]), int(patterns.line_last[pattern]))
        xy, along_m = patterns.line_xy[part], patterns.line_offset_m[part]
        inside = (along_m > from_m) & (along_m < to_m)
        at_m = np.concatenate([[from_m], along_m[inside], [to_m]])
        path = np.column_stack([np.interp(at_m, along_m, xy[:, axis]) for axis in (0, 1)])
        thinned = shapely.get_coordinates(shapely.simplify(shapely.linestrings(path), THINNED_TO_M))
        return np.asarray(thinned if len(thinned) > 1 else path, dtype=np.float64)

    def _degrees(self, path: Floats) -> list[tuple[float, float]]:
        lon, lat = self._to_degrees.transform(path[:, 0], path[:, 1])
        return [(round(float(n), DIGITS), round(float(e), DIGITS)) for n, e in zip(lat, lon, strict=True)]

    def _stop(self, stop: int) -> MapStop:
        stops = self._network.stops
        place = round(float(stops.lat[stop]), DIGITS), round(float(stops.lon[stop]), DIGITS)
        return MapStop(stop=stops.ids[stop], name=name_of(self._network, stop), place=place)
