"""What the timetable says for one stop: its lines, and when each calls here on a date. Pure; no live data.

A *line* is one route to one destination. Where a run ends nobody boards, so last stops of patterns make no line.
"""

import bisect
import datetime as dt
import functools
import itertools
from array import array
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from commons.texts import LANGUAGES
from gtfs_data.calendar import HeadwayWindow, ServiceDay, local_date, service_day
from gtfs_data.network import Network

DAYS_HELD: Final = 12
CALLS_HELD: Final = 32_768  # (stop, date) pairs: a city of 5,000 stops needs four dates of each around midnight
AHEAD_DAYS: Final = 7  # how far the next departure is looked for
MS: Final = 1000
PAUSE_MAX_MS: Final = 30 * 60_000  # between two headway windows of one stretch of service

Text = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLine:
    """One route to one destination at one stop; ``rows`` are the pattern rows at which it calls there."""

    key: str
    route: int
    direction: int
    destination: Text
    rows: tuple[int, ...]
    row_of: Mapping[tuple[int, int], int]  # pattern, stop_sequence → row
    wheelchair: int  # of all its trips, 0 where they differ; 1 yes, 2 no

    def rows_served(self, missed: frozenset[int]) -> bool:
        """Return whether any of its patterns still calls here."""
        return not missed or any(row not in missed for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From ``start_ms`` up to ``end_ms`` a vehicle calls every ``headway_s``; times are those at this stop."""

    start_ms: int
    end_ms: int
    headway_s: int
    trip: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCall:
    """One run at one stop. ``run_key`` is the one that tracking gives a vehicle on this run."""

    run_key: str
    departure_ms: int
    row: int
    trip: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DayCalls:
    """All calls of one line at one stop on one service day, in order of time."""

    departure_ms: Sequence[int]
    run: Sequence[int]  # into the service day's runs
    row: Sequence[int]
    windows: Sequence[Window]

    @property
    def first_ms(self) -> int | None:
        """The first departure of the day."""
        starts = [window.start_ms for window in self.windows] + list(self.departure_ms[:1])
        return min(starts, default=None)


NO_CALLS: Final = DayCalls(departure_ms=(), run=(), row=(), windows=())


@dataclass(frozen=True, slots=True, eq=False)
class _Day:
    """A service day with its runs grouped by pattern."""

    day: ServiceDay
    date: str  # as run keys have it
    order: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]


class Plan:
    """Answers for every stop of a network; what was asked for lately is kept."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.offset_m = array("d", network.patterns.offset_m.astype(np.float64).tobytes())  # of each pattern row
        self._first = array("q", network.patterns.first.astype(np.int64).tobytes())
        self._wheelchair = _wheelchair_of_patterns(network)
        self._day = functools.lru_cache(maxsize=DAYS_HELD)(self._make_day)
        self._calls = functools.lru_cache(maxsize=CALLS_HELD)(self._make_calls)
        self._lines = functools.lru_cache(maxsize=CALLS_HELD)(self._make_lines)

    def lines(self, stop: int) -> Mapping[str, PlannedLine]:
        """Return the lines that call at ``stop``, by key."""
        return self._lines(stop)

    def rows(self, pattern: int) -> tuple[int, int]:
        """Return the first row of a pattern and the one after its last."""
        return self._first[pattern], self._first[pattern + 1]

    def calls(self, stop: int, line_key: str, date: dt.date) -> DayCalls:
        """Return the calls of a line at ``stop`` on the service day ``date``."""
        return self._calls(stop, date).get(line_key, NO_CALLS)

    def upcoming(self, stop: int, line_key: str, from_ms: int, until_ms: int) -> list[PlannedCall]:
        """Return the calls between two moments, of yesterday's, today's and tomorrow's service days."""
        found: list[PlannedCall] = []
        today = local_date(from_ms, self.network.time_zone)
        for date in (today - dt.timedelta(1), today, today + dt.timedelta(1)):
            calls = self.calls(stop, line_key, date)
            first = bisect.bisect_left(calls.departure_ms, from_ms)
            last = bisect.bisect_right(calls.departure_ms, until_ms)
            found += [self._call(date, calls, i) for i in range(first, last)]
        return sorted(found, key=lambda call: (call.departure_ms, call.run_key))

    def served_since_ms(self, stop: int, line_key: str, now_ms: int) -> int:
        """Return since when the line has run by headway without a pause, ``now_ms`` if it does not now."""
        today = local_date(now_ms, self.network.time_zone)
        windows = [
            window
            for date in (today - dt.timedelta(1), today)
            for window in self.calls(stop, line_key, date).windows
            if window.start_ms <= now_ms
        ]
        since_ms = now_ms
        for window in sorted(windows, key=lambda window: window.end_ms, reverse=True):
            if window.end_ms + PAUSE_MAX_MS < since_ms:
                break
            since_ms = min(since_ms, window.start_ms)
        return since_ms

    def windows(self, stop: int, line_key: str, now_ms: int, without: Container[str] = ()) -> list[Window]:
        """Return the headway windows in force at ``now_ms``, but those of trips that are cancelled (``without``)."""
        today = local_date(now_ms, self.network.time_zone)
        return [
            window
            for date in (today - dt.timedelta(1), today)
            for window in self.calls(stop, line_key, date).windows
            if window.start_ms <= now_ms < window.end_ms and self._every_run(date, window) not in without
        ]

    def next_ms(
        self, stop: int, line_key: str, now_ms: int, timed_from_ms: int, without: Container[str] = ()
    ) -> int | None:
        """Return the next departure of a line within ``AHEAD_DAYS``, None if there is none.

        Calls with a time of their own count from ``timed_from_ms`` on: those before are known not to come. Runs that
        are cancelled (``without``) are no departures.
        """
        today = local_date(now_ms, self.network.time_zone)
        before_ms: int | None = None  # of the service day before: its last runs may leave after this one's first
        for ahead in range(-1, AHEAD_DAYS + 1):
            date = today + dt.timedelta(ahead)
            calls = self.calls(stop, line_key, date)
            found = [
                max(window.start_ms, now_ms)
                for window in calls.windows
                if window.end_ms > now_ms and self._every_run(date, window) not in without
            ]
            timed = next(
                (one for one in self._calls_from(date, calls, timed_from_ms) if one.run_key not in without), None
            )
            if timed is not None:
                found.append(timed.departure_ms)
            if before_ms is not None:
                return min([before_ms, *found])
            before_ms = min(found, default=None)
        return before_ms

    def call_after_gap(
        self, stop: int, line_key: str, now_ms: int, from_ms: int, without: Container[str] = ()
    ) -> PlannedCall | None:
        """Return the first call from ``from_ms`` on of a service day that has begun by ``now_ms``."""
        today = local_date(now_ms, self.network.time_zone)
        found = []
        for date in (today - dt.timedelta(1), today):
            calls = self.calls(stop, line_key, date)
            if calls.departure_ms and calls.departure_ms[0] < now_ms:
                coming = (one for one in self._calls_from(date, calls, from_ms) if one.run_key not in without)
                found += list(itertools.islice(coming, 1))
        return min(found, key=lambda call: call.departure_ms, default=None)

    def _calls_from(self, date: dt.date, calls: DayCalls, from_ms: int) -> Iterator[PlannedCall]:
        for at in range(bisect.bisect_left(calls.departure_ms, from_ms), len(calls.departure_ms)):
            yield self._call(date, calls, at)

    def _every_run(self, date: dt.date, window: Window) -> str:
        """Return the name of all runs of a window's trip on a date, as ``transit.notices`` has it."""
        return f"{date:%Y%m%d}:{self.network.trips.ids[window.trip]}"

    def _call(self, date: dt.date, calls: DayCalls, at: int) -> PlannedCall:
        by_pattern, run = self._day(date), calls.run[at]
        day = by_pattern.day
        trip = int(day.trip[run])
        trip_id = self.network.trips.ids[trip]
        return PlannedCall(
            run_key=f"{by_pattern.date}:{trip_id}@{int(day.start_ms[run]) // MS}",
            departure_ms=calls.departure_ms[at],
            row=calls.row[at],
            trip=trip,
        )

    def _make_day(self, date: dt.date) -> _Day:
        day = service_day(self.network, date)
        pattern = self.network.trips.pattern[day.trip]
        order = np.argsort(pattern, kind="stable").astype(np.int64)
        first = np.searchsorted(pattern[order], np.arange(len(self.network.patterns) + 1)).astype(np.int64)
        return _Day(day, f"{date:%Y%m%d}", order, first)

    def _make_lines(self, stop: int) -> Mapping[str, PlannedLine]:
        network, patterns = self.network, self.network.patterns
        rows_of: dict[str, list[int]] = {}
        for row in network.rows_of_stop[stop].tolist():
            pattern = int(network.pattern_of_row[row])
            if row + 1 == int(patterns.first[pattern + 1]):
                continue
            route_id = network.routes.ids[int(patterns.route[pattern])]
            rows_of.setdefault(line_key(route_id, patterns.headsigns[pattern]), []).append(row)
        lines = {}
        for key, rows in rows_of.items():
            pattern = int(network.pattern_of_row[rows[0]])
            lines[key] = PlannedLine(
                key=key,
                route=int(patterns.route[pattern]),
                direction=int(patterns.direction[pattern]),
                destination=destination_of(network, pattern),
                rows=tuple(rows),
                row_of={
                    (int(network.pattern_of_row[row]), int(patterns.stop_sequence[row])): row for row in reversed(rows)
                },
                wheelchair=self._wheelchair_of(rows),
            )
        return lines

    def _wheelchair_of(self, rows: Sequence[int]) -> int:
        said = {int(self._wheelchair[self.network.pattern_of_row[row]]) for row in rows}
        return said.pop() if len(said) == 1 else 0

    def _make_calls(self, stop: int, date: dt.date) -> Mapping[str, DayCalls]:
        day = self._day(date)
        return {key: self._calls_of(line.rows, day) for key, line in self.lines(stop).items()}

    def _calls_of(self, rows: Sequence[int], by_pattern: _Day) -> DayCalls:
        day, trips, patterns = by_pattern.day, self.network.trips, self.network.patterns
        times, runs, at_rows, windows = [], [], [], []
        for row in rows:
            pattern = int(self.network.pattern_of_row[row])
            place = row - int(patterns.first[pattern])
            run = by_pattern.order[by_pattern.first[pattern] : by_pattern.first[pattern + 1]]
            at_s = trips.departure_s[trips.first[day.trip[run]] + place].astype(np.int64)
            times.append(day.zero_ms + MS * (at_s + day.shift_s[run]))
            runs.append(run)
            at_rows.append(np.full(len(run), row))
            windows += [
                _window_at(window, self._after_start_ms(window.trip, place))
                for window in day.headways
                if trips.pattern[window.trip] == pattern
            ]
        departure_ms, run = np.concatenate(times), np.concatenate(runs)
        order = np.lexsort((run, departure_ms))
        return DayCalls(
            departure_ms=_packed("q", departure_ms[order]),
            run=_packed("i", run[order]),
            row=_packed("i", np.concatenate(at_rows)[order]),
            windows=sorted(windows, key=lambda window: window.start_ms),
        )

    def _after_start_ms(self, trip: int, place: int) -> int:
        trips = self.network.trips
        first = int(trips.first[trip])
        return MS * int(trips.departure_s[first + place] - trips.departure_s[first])


def line_key(route_id: str, headsign: str) -> str:
    """Return what names a line at a stop."""
    return f"{route_id}|{headsign}"


def destination_of(network: Network, pattern: int) -> Text:
    """Return the headsign of a pattern in every language."""
    headsigns = network.patterns.headsigns_by_language
    return {language: headsigns.get(language, network.patterns.headsigns)[pattern] for language in LANGUAGES}


def _wheelchair_of_patterns(network: Network) -> npt.NDArray[np.int8]:
    """Return wheelchair_accessible of each pattern's trips, 0 where they differ."""
    lowest, highest = np.full(len(network.patterns), 2, dtype=np.int8), np.zeros(len(network.patterns), dtype=np.int8)
    np.minimum.at(lowest, network.trips.pattern, network.trips.wheelchair)
    np.maximum.at(highest, network.trips.pattern, network.trips.wheelchair)
    return np.where(lowest == highest, lowest, 0).astype(np.int8)


def _packed(code: Literal["i", "q"], values: npt.NDArray[np.int64]) -> Sequence[int]:
    """Return ``values`` as an array of the ``array`` module: a fifth of a list's memory, and quick to bisect."""
    return array(code, values.astype(code).tobytes())


def _window_at(window: HeadwayWindow, after_ms: int) -> Window:
    return Window(
        start_ms=window.start_ms + after_ms,
        end_ms=window.end_ms + after_ms,
        headway_s=window.headway_s,
        trip=int(window.trip),
    )
