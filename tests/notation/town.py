"""A small town drawn in metres, as a compiled ``Network``, and buses that drive through it.

Lines are lists of corners; stops are given by their distance along the line, or as (distance, metres beside it).
Trips are ``trip_id line first-departure [block]``; a bus needs ``SPEED_MPS`` between stops and does not dwell.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from gtfs_data.calendar import day_zero_ms
from gtfs_data.model import RouteId, StopId, TripId
from gtfs_data.network import Frequencies, Network, Patterns, Routes, Services, Stops, Trips
from transit.model import PositionReport

ZONE = "Asia/Qyzylorda"
EPSG = 32641
CENTRE = (697_000.0, 4_970_000.0)  # in Kyzylorda
DAY = dt.date(2026, 3, 2)
SPEED_MPS = 8.0
METRES_OF_A_DEGREE = 111_195.0

Line = Sequence[tuple[float, float]]


def at(clock: str) -> int:
    """Return ``HH:MM[:SS]`` of the town's day in epoch milliseconds."""
    return day_zero_ms(DAY, ZONE) + 1000 * seconds(clock)


def seconds(clock: str) -> int:
    """Return ``HH:MM[:SS]`` in seconds."""
    hours, minutes, *rest = (int(part) for part in clock.split(":"))
    return 3600 * hours + 60 * minutes + (rest[0] if rest else 0)


def town(
    lines: Mapping[str, Line],
    stops_m: Mapping[str, Sequence[float]],
    trips: str = "",
    *,
    headways: Mapping[str, int] | None = None,
) -> Network:
    """Return the network of ``lines`` named "route/direction", with a stop at each of ``stops_m`` metres.

    ``headways`` gives frequency services (line → seconds, all day) instead of trips.
    """
    names = list(lines)
    shapes = {name: shapely.LineString(np.add(lines[name], CENTRE)) for name in names}
    places: dict[tuple[float, float], int] = {}
    stop, offset, first, line_first, line_last, xy, along = [], [], [0], [], [], [], []
    for name in names:
        for distance_m in stops_m[name]:
            point = shapes[name].interpolate(distance_m)
            stop.append(places.setdefault((round(point.x, 1), round(point.y, 1)), len(places)))
            offset.append(float(distance_m))
        first.append(len(stop))
        corners = shapely.get_coordinates(shapes[name])
        line_first.append(len(xy))
        xy.extend(corners.tolist())
        along.extend([0.0, *np.cumsum(np.hypot(*np.diff(corners, axis=0).T)).tolist()])
        line_last.append(len(xy))
    rows = [line.split() for line in trips.strip().splitlines() if line.strip()]
    rows += [[f"every-{name}", name, "00:00"] for name in headways or {}]
    stop_xy = np.array(list(places), dtype=np.float64)
    lon, lat = pyproj.Transformer.from_crs(EPSG, 4326, always_xy=True).transform(stop_xy[:, 0], stop_xy[:, 1])
    routes = sorted({name.split("/")[0] for name in names})
    ids = tuple(StopId(f"S{i}") for i in range(len(places)))
    return Network(
        feed_hash="town",
        feed_version="1",
        agency_name="Town",
        time_zone=ZONE,
        language="kk",
        epsg=EPSG,
        stops=Stops(
            ids=ids,
            codes=ids,
            names=ids,
            names_by_language={},
            zones=("",) * len(ids),
            wheelchair=_unknown(ids),
            lat=lat,
            lon=lon,
            xy=stop_xy,
        ),
        routes=Routes(
            ids=tuple(RouteId(route) for route in routes),
            short_names=tuple(routes),
            long_names=tuple(routes),
            long_names_by_language={},
            colors=("",) * len(routes),
            text_colors=("",) * len(routes),
            types=_ints([3] * len(routes)),
        ),
        patterns=Patterns(
            route=_ints([routes.index(name.split("/")[0]) for name in names]),
            direction=np.array([int(name.split("/")[1]) for name in names], dtype=np.int8),
            headsigns=tuple(f"to {name}" for name in names),
            headsigns_by_language={},
            shape_ids=tuple(names),
            first=_ints(first),
            stop=_ints(stop),
            stop_sequence=_ints([k + 1 for i in range(len(names)) for k in range(first[i + 1] - first[i])]),
            offset_m=np.array(offset),
            gap_m=np.zeros(len(offset)),
            line_first=_ints(line_first),
            line_last=_ints(line_last),
            line_xy=np.array(xy),
            line_offset_m=np.array(along),
        ),
        trips=_trips(rows, names, stops_m, set(headways or {})),
        frequencies=_frequencies(rows, headways or {}),
        services=Services(ids=("daily",), first_date=DAY, runs=np.ones((1, 3), dtype=np.bool_)),
    )


def _trips(
    rows: Sequence[Sequence[str]], names: Sequence[str], stops_m: Mapping[str, Sequence[float]], free: set[str]
) -> Trips:
    times: list[int] = []
    first = [0]
    for _, name, clock, *_ in rows:
        begins_m = stops_m[name][0]
        times += [seconds(clock) + round((distance_m - begins_m) / SPEED_MPS) for distance_m in stops_m[name]]
        first.append(len(times))
    blocks = sorted({row[3] for row in rows if len(row) > 3})
    return Trips(
        ids=tuple(TripId(row[0]) for row in rows),
        pattern=_ints([names.index(row[1]) for row in rows]),
        service=_ints([0] * len(rows)),
        block=_ints([blocks.index(row[3]) if len(row) > 3 else -1 for row in rows]),
        block_ids=tuple(blocks),
        headsigns=("",) * len(rows),
        wheelchair=_unknown(rows),
        first=_ints(first),
        arrival_s=_ints(times),
        departure_s=_ints(times),
        given=np.ones(len(times), dtype=np.bool_),
        scheduled=np.array([row[1] not in free for row in rows], dtype=np.bool_),
    )


def _unknown(things: Sequence[object]) -> npt.NDArray[np.int8]:
    return np.zeros(len(things), dtype=np.int8)


def _frequencies(rows: Sequence[Sequence[str]], headways: Mapping[str, int]) -> Frequencies:
    trips = [i for i, row in enumerate(rows) if row[1] in headways]
    return Frequencies(
        trip=_ints(trips),
        start_s=_ints([0] * len(trips)),
        end_s=_ints([86_400] * len(trips)),
        headway_s=_ints([headways[rows[i][1]] for i in trips]),
        exact=np.zeros(len(trips), dtype=np.bool_),
    )


def drive(
    vehicle: str,
    line: Line,
    start_ms: int,
    *,
    speed_mps: float = SPEED_MPS,
    every_s: int = 10,
    from_m: float = 0.0,
    until_m: float | None = None,
    beside_m: float = 0.0,
    trip: str = "",
    route: str = "",
    direction: int = -1,
    block: str = "",
) -> list[PositionReport]:
    """Return the reports of a bus that drives along ``line`` evenly, ``beside_m`` to its right."""
    shape = shapely.LineString(np.add(line, CENTRE))
    end_m = shape.length if until_m is None else until_m
    offsets = np.arange(from_m, end_m + 1e-9, speed_mps * every_s) if speed_mps else np.array([from_m])
    reports = []
    for step, offset_m in enumerate(offsets):
        here, ahead = shape.interpolate(offset_m), shape.interpolate(min(offset_m + 1.0, shape.length))
        east, north = ahead.x - here.x, ahead.y - here.y
        length = max(float(np.hypot(east, north)), 1e-9)
        place = (here.x + beside_m * north / length - CENTRE[0], here.y - beside_m * east / length - CENTRE[1])
        fix_ms = start_ms + 1000 * every_s * step
        reports.append(fix(vehicle, place, fix_ms, trip=trip, route=route, direction=direction, block=block))
    return reports


def noisy(reports: Iterable[PositionReport], sigma_m: float, seed: int = 1) -> list[PositionReport]:
    """Return the reports with places off by ``sigma_m`` metres (one sigma) north and east."""
    rng = np.random.default_rng(seed)
    moved = []
    for report in reports:
        north, east = rng.normal(0.0, sigma_m / METRES_OF_A_DEGREE, 2)
        lon = report.lon + east / np.cos(np.radians(report.lat))
        moved.append(msgspec.structs.replace(report, lat=float(report.lat + north), lon=float(lon)))
    return moved


def fix(
    vehicle: str,
    place: tuple[float, float],
    fix_ms: int,
    *,
    received_ms: int | None = None,
    archived: bool = False,
    trip: str = "",
    route: str = "",
    direction: int = -1,
    block: str = "",
) -> PositionReport:
    """Return one report from ``place`` in the town's metres."""
    lon, lat = pyproj.Transformer.from_crs(EPSG, 4326, always_xy=True).transform(*np.add(place, CENTRE))
    return PositionReport(
        vehicle_id=vehicle,
        fix_ms=fix_ms,
        received_ms=fix_ms if received_ms is None else received_ms,
        lat=float(lat),
        lon=float(lon),
        archived=archived,
        trip_id=trip,
        route_id=route,
        direction_id=direction,
        block_id=block,
    )


def _ints(values: Iterable[int]) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(list(values), dtype=np.int32)
