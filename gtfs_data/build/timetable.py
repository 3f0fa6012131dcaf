"""Trips from lines and service: stops placed on their lines, running times, and what a frequency stands for.

Stops are placed by the compiler's own function (`gtfs_data.shapes`), so that both mean the same metres.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

from gtfs_data.build.model import Call, Course, LineKey, Plan, Service, Terms
from gtfs_data.build.plan import LINE_STOPS
from gtfs_data.build.problems import Problems
from gtfs_data.notices import Code
from gtfs_data.shapes import Placed, offsets_along, place, to_metres, utm_epsg

Floats = npt.NDArray[np.float64]

FAR_M: Final = 60.0  # a platform lies at its street; further off, the stop or the line is drawn wrong
AHEAD_M: Final = 5.0  # two stops of a line nearer than this along it are one place
SPEED_KMH_MAX: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """A direction of a route: its stops placed on its drawn line."""

    key: LineKey
    calls: tuple[Call, ...]
    course: Course
    vertex_offset_m: Floats
    stop_offset_m: Floats

    @property
    def length_m(self) -> float:
        """Return the way from the first stop to the last."""
        return float(self.stop_offset_m[-1] - self.stop_offset_m[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """A run of a line, or with ``headway_s`` above 0 the model of all runs from ``start_s`` until ``end_s``."""

    id: str
    line: Line
    day_type: str
    arrival_s: tuple[int, ...]
    departure_s: tuple[int, ...]
    end_s: int = 0
    headway_s: int = 0

    @property
    def start_s(self) -> int:
        """Return when the first run leaves its first stop."""
        return self.departure_s[0]

    @property
    def running_s(self) -> int:
        """Return how long a run takes."""
        return self.arrival_s[-1] - self.departure_s[0]

    @property
    def starts_s(self) -> range:
        """Return when each run leaves."""
        return (
            range(self.start_s, self.end_s, self.headway_s) if self.headway_s else range(self.start_s, self.start_s + 1)
        )


def place_lines(plan: Plan, problems: Problems) -> dict[LineKey, Line]:
    """Return the lines with their stops placed; what does not fit is told in ``problems``.

    Lines that lack stops or a drawn line are passed over: that has been told before.
    """
    if not plan.stops:
        return {}
    stops = {stop.id: stop for stop in plan.stops}
    lat, lon = np.array([stop.lat for stop in plan.stops]), np.array([stop.lon for stop in plan.stops])
    epsg = utm_epsg(lat, lon)
    xy = dict(zip(stops, to_metres(epsg, lat, lon), strict=True))
    lines = {}
    for key, calls in plan.calls.items():
        course = plan.courses.get(key)
        if course is None or len(calls) < 2 or not all(call.stop_id in stops for call in calls):
            continue
        vertices = to_metres(epsg, course.lon_lat[:, 1], course.lon_lat[:, 0])
        places = np.array([xy[call.stop_id] for call in calls])
        placed = place(vertices, places)
        if placed.backwards:
            rule = "is drawn against its direction: it must lead from the first stop to the last"
            problems.error(Code.SHAPE_RUNS_BACKWARDS, course.file, rule)
            continue
        nearest_m = np.asarray(shapely.distance(shapely.linestrings(vertices), shapely.points(places)))
        for problem in _misplaced(course, calls, placed, nearest_m):
            name = next(iter(stops[problem.call.stop_id].name.values()))
            problems.error(
                problem.code,
                LINE_STOPS,
                problem.rule,
                row=problem.call.row,
                field=problem.field,
                value=f"{problem.call.stop_id} {name}" if problem.field == "stop_id" else f"{problem.call.minutes:g}",
            )
        lines[key] = Line(
            key=key,
            calls=calls,
            course=course,
            vertex_offset_m=offsets_along(vertices),
            stop_offset_m=placed.offset_m,
        )
    return lines


@dataclass(frozen=True, slots=True)
class _Misplaced:
    call: Call
    code: Code
    field: str
    rule: str


def _misplaced(course: Course, calls: Sequence[Call], placed: Placed, nearest_m: Floats) -> Iterator[_Misplaced]:
    """Yield the stops that lie off the line, or on it but out of order, or too far for the minutes given."""
    ahead_m = np.diff(placed.offset_m, prepend=-np.inf)
    for call, gap, nearest, ahead in zip(calls, placed.gap_m, nearest_m, ahead_m, strict=True):
        if nearest > FAR_M:
            rule = f"lies {nearest:.0f} m off the line in {course.file}; up to {FAR_M:.0f} m are good"
            yield _Misplaced(call, Code.STOP_TOO_FAR_FROM_SHAPE, "stop_id", rule)
        elif gap > FAR_M or ahead < AHEAD_M:
            rule = f"must lie on the line in {course.file} between the stops before and after it: is the order right?"
            yield _Misplaced(call, Code.INVALID_VALUE, "stop_id", rule)
        elif call.minutes is not None and SPEED_KMH_MAX < (kmh := 0.06 * ahead / call.minutes) < np.inf:
            rule = f"would be {kmh:.0f} km/h from the stop before; up to {SPEED_KMH_MAX:.0f} are good"
            yield _Misplaced(call, Code.FAST_TRAVEL, "minutes", rule)


def times_of(line: Line, start_s: int, terms: Terms) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return when a run that leaves at ``start_s`` arrives at and departs from each stop.

    Given minutes count from departure to departure. Where none are given, the bus drives at the speed of the hour in
    which it leaves the stop before, and then stands for the city's dwell.
    """
    arrivals, departures = [start_s], [start_s]
    time_s = float(start_s)
    for i in range(1, len(line.calls)):
        minutes = line.calls[i].minutes
        if minutes is not None:
            time_s += minutes * 60
            arrivals.append(round(time_s))
        else:
            time_s += float(line.stop_offset_m[i] - line.stop_offset_m[i - 1]) / terms.speed_at(time_s)
            arrivals.append(round(time_s))
            time_s += terms.dwell_s
        departures.append(round(time_s))
    departures[-1] = arrivals[-1]
    return tuple(arrivals), tuple(departures)


def trips_of(plan: Plan, terms: Terms, lines: Mapping[LineKey, Line]) -> list[Trip]:
    """Return all trips, in order of line, day type and time."""
    trips: list[Trip] = []
    for service in plan.services:
        line = lines[service.line]
        if service.headway_s:
            parts = bands(service, [speed.start_s for speed in terms.speeds])
            trips += [_trip(terms, line, service, start_s, end_s) for start_s, end_s in parts]
        else:
            trips += [_trip(terms, line, service, start_s, 0) for start_s in service.departures_s]
    return trips


def bands(service: Service, changes_s: Sequence[int]) -> list[tuple[int, int]]:
    """Return the parts of a service between changes of speed, so that no run is given the times of another hour.

    A part begins with the first run after the change, so the headway goes on over it.
    """
    bounds = {service.start_s}
    for day_s in (0, 86_400):
        for change_s in changes_s:
            runs_before = math.ceil((change_s + day_s - service.start_s) / service.headway_s)
            bounds.add(service.start_s + max(runs_before, 0) * service.headway_s)
    starts = sorted(bound for bound in bounds if bound < service.end_s)
    return list(zip(starts, [*starts[1:], service.end_s], strict=True))


def _trip(terms: Terms, line: Line, service: Service, start_s: int, end_s: int) -> Trip:
    arrival_s, departure_s = times_of(line, start_s, terms)
    route_id, direction = line.key
    clock = f"{start_s // 3_600:02}{start_s % 3_600 // 60:02}" + (f"{start_s % 60:02}" if start_s % 60 else "")
    return Trip(
        id=f"{route_id}-{direction}-{service.day_type}-{clock}",
        line=line,
        day_type=service.day_type,
        arrival_s=arrival_s,
        departure_s=departure_s,
        end_s=end_s,
        headway_s=service.headway_s,
    )
