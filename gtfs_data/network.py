"""The frozen ``Network``: everything planned, in arrays, with look-ups by id.

Ragged data is in compressed rows: ``x_first`` has one more entry than there are x, and rows ``x_first[i]`` up to
``x_first[i + 1]`` belong to x number i. Places are metres in the network's own projection (``epsg``, a UTM zone);
distances along a line are metres from its first vertex; times are seconds after noon minus 12 h of the service day
(GTFS stop_times.txt), so they may pass 86,400.
"""

import datetime as dt
import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gtfs_data.model import PatternIdx, RouteId, RouteIdx, StopId, StopIdx, TripId, TripIdx

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stops:
    """stops.txt, boarding places only (location_type 0 and 4); one entry per stop."""

    ids: tuple[StopId, ...]
    codes: tuple[str, ...]
    names: tuple[str, ...]
    names_by_language: Mapping[str, tuple[str, ...]]  # from translations.txt; falls back to ``names``
    zones: tuple[str, ...]
    wheelchair: npt.NDArray[np.int8]  # wheelchair_boarding, the parent's where it is its own; 0 unknown, 1 yes, 2 no
    lat: Floats
    lon: Floats
    xy: Floats  # [n, 2] metres


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Routes:
    """routes.txt."""

    ids: tuple[RouteId, ...]
    short_names: tuple[str, ...]
    long_names: tuple[str, ...]
    long_names_by_language: Mapping[str, tuple[str, ...]]
    colors: tuple[str, ...]  # six hex digits or ""
    text_colors: tuple[str, ...]
    types: Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patterns:
    """Trips of one route and direction with the same stops, stop sequences and shape share a pattern.

    ``first`` frames the rows ``stop``, ``stop_sequence``, ``offset_m``, ``gap_m``; ``line_first`` frames the vertices
    ``line_xy``, ``line_offset_m`` of the pattern's line (patterns may share vertices: ``line_first`` and ``line_last``
    are given apart).
    """

    route: Ints
    direction: npt.NDArray[np.int8]  # 0, 1, or -1 where the feed gives none
    headsigns: tuple[str, ...]  # the commonest trip_headsign, else the name of the last stop
    headsigns_by_language: Mapping[str, tuple[str, ...]]
    shape_ids: tuple[str, ...]  # "" where the line was drawn from stop to stop
    first: Ints  # [n + 1]
    stop: Ints
    stop_sequence: Ints
    offset_m: Floats  # of the stop along the line, never decreasing within a pattern
    gap_m: Floats  # from the stop to its place on the line: large where the shape is wrong
    line_first: Ints  # [n] first vertex
    line_last: Ints  # [n] one past the last vertex
    line_xy: Floats  # [v, 2]
    line_offset_m: Floats  # [v] of the vertex along its line

    def __len__(self) -> int:
        """Return the number of patterns."""
        return len(self.route)

    def rows(self, pattern: int) -> slice:
        """Return the rows of ``stop``, ``offset_m`` … that belong to ``pattern``."""
        return slice(int(self.first[pattern]), int(self.first[pattern + 1]))

    def line(self, pattern: int) -> Floats:
        """Return the vertices of the line of ``pattern``, [k, 2] metres."""
        return self.line_xy[self.line_first[pattern] : self.line_last[pattern]]

    def length_m(self, pattern: int) -> float:
        """Return the length of the line of ``pattern``."""
        return float(self.line_offset_m[self.line_last[pattern] - 1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trips:
    """trips.txt and stop_times.txt. ``first[i] + k`` is the row of stop number k of the trip's pattern."""

    ids: tuple[TripId, ...]
    pattern: Ints
    service: Ints
    block: Ints  # into ``block_ids``, -1 for none
    block_ids: tuple[str, ...]
    headsigns: tuple[str, ...]
    wheelchair: npt.NDArray[np.int8]  # wheelchair_accessible: 0 unknown, 1 yes, 2 no
    first: Ints  # [n + 1]
    arrival_s: Ints
    departure_s: Ints
    given: Bools  # False where the time was interpolated
    scheduled: Bools  # [n] False for templates of frequencies.txt with exact_times=0

    def rows(self, trip: int) -> slice:
        """Return the rows of ``arrival_s`` and ``departure_s`` that belong to ``trip``."""
        return slice(int(self.first[trip]), int(self.first[trip + 1]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frequencies:
    """frequencies.txt; ``exact`` is exact_times=1."""

    trip: Ints
    start_s: Ints
    end_s: Ints
    headway_s: Ints
    exact: Bools


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Services:
    """calendar.txt and calendar_dates.txt as one table: ``runs[service, day]``, day 0 being ``first_date``."""

    ids: tuple[str, ...]
    first_date: dt.date
    runs: Bools

    def on(self, date: dt.date) -> Bools:
        """Return, per service, whether it runs on ``date``."""
        day = (date - self.first_date).days
        if 0 <= day < self.runs.shape[1]:
            return self.runs[:, day]
        return np.zeros(len(self.ids), dtype=np.bool_)


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A compiled GTFS feed. Never changes; a new feed is a new ``Network``."""

    feed_hash: str  # SHA-256 of the feed's content, hexadecimal
    feed_version: str
    agency_name: str
    time_zone: str  # IANA name, agency_timezone
    language: str  # feed_lang or agency_lang, lower-case primary subtag, or ""
    epsg: int
    stops: Stops
    routes: Routes
    patterns: Patterns
    trips: Trips
    frequencies: Frequencies
    services: Services

    @functools.cached_property
    def stop_by_id(self) -> Mapping[str, StopIdx]:
        """Return the dense index of each stop id."""
        return {stop_id: StopIdx(i) for i, stop_id in enumerate(self.stops.ids)}

    @functools.cached_property
    def route_by_id(self) -> Mapping[str, RouteIdx]:
        """Return the dense index of each route id."""
        return {route_id: RouteIdx(i) for i, route_id in enumerate(self.routes.ids)}

    @functools.cached_property
    def trip_by_id(self) -> Mapping[str, TripIdx]:
        """Return the dense index of each trip id."""
        return {trip_id: TripIdx(i) for i, trip_id in enumerate(self.trips.ids)}

    @functools.cached_property
    def block_by_id(self) -> Mapping[str, int]:
        """Return the dense index of each block id."""
        return {block_id: i for i, block_id in enumerate(self.trips.block_ids)}

    @functools.cached_property
    def patterns_of_route(self) -> tuple[tuple[PatternIdx, ...], ...]:
        """Return the patterns of each route."""
        found: list[list[PatternIdx]] = [[] for _ in self.routes.ids]
        for pattern, route in enumerate(self.patterns.route.tolist()):
            found[route].append(PatternIdx(pattern))
        return tuple(tuple(patterns) for patterns in found)

    @functools.cached_property
    def rows_of_stop(self) -> tuple[Ints, ...]:
        """Return, per stop, the pattern rows at which it is served."""
        order = np.argsort(self.patterns.stop, kind="stable").astype(np.int32)
        bounds = np.searchsorted(self.patterns.stop[order], np.arange(len(self.stops.ids) + 1))
        return tuple(order[bounds[i] : bounds[i + 1]] for i in range(len(self.stops.ids)))

    @functools.cached_property
    def pattern_of_row(self) -> Ints:
        """Return, per pattern row, its pattern."""
        sizes = np.diff(self.patterns.first)
        return np.repeat(np.arange(len(self.patterns), dtype=np.int32), sizes)
