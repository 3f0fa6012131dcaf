"""What simple predictors would have said at the same moments: the floor that a good one must leave behind.

Each follows the observed runs. From the first passing of a run to its last, once a minute, it is told the passings so
far and says when the stops ahead will be reached. A run whose trip the feed does not have goes by the trip with its
stops that is planned nearest to its first passing.
"""

import enum
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gtfs_data.calendar import day_zero_ms, service_day
from gtfs_data.network import Network
from transit.accuracy.days import date, hour_of
from transit.accuracy.forecasts import Codes, Floats, Forecasts, Index, joined
from transit.accuracy.links import DAY_MINUTES, MINUTE_MS, RECENT_PRIOR, Links
from transit.accuracy.passings import Passings

AHEAD_MAX_MS: Final = 1_800_000
EARLY_MAX_MS: Final = 300_000  # who is earlier waits: a bus that stands before its time does not keep its lead


class Baseline(enum.StrEnum):
    """The built-in predictors. Each is a column of the report."""

    TIMETABLE = "timetable"  # what the feed says
    DELAY = "timetable + delay"  # and the delay at the last stop passed; never a moment that is over
    MEDIANS = "medians"  # from stop to stop, by hour and day type, of earlier days
    RECENT = "medians + recent"  # the same, drawn towards the vehicles of the last 45 minutes over the same links


@dataclass(frozen=True, slots=True, eq=False)
class _Ahead:
    """One entry per moment and stop ahead: when it is said, the number of the last passing, the place of the stop."""

    made_ms: Index
    passing: Index
    place: Index


class Baselines:
    """The built-in predictors over the observed ``passings`` of a recording."""

    def __init__(self, network: Network, passings: Passings, *, every_ms: int) -> None:
        self._network, self._every_ms = network, every_ms
        self._passings = passings.take(passings.row >= 0)
        self._links = Links(network, self._passings)

    def forecasts(self, kind: Baseline, test: Index, train: Index) -> Forecasts | None:
        """Return what ``kind`` says on the days ``test``; None where there is nothing to say it from.

        Medians are learned from the days ``train``, or from the days before each day of test if there are none.
        """
        parts = []
        for day in test.tolist():
            passings = self._passings.take(self._passings.day == day)
            ahead = self._ahead(passings)
            if not len(ahead.made_ms):
                continue
            if kind in (Baseline.TIMETABLE, Baseline.DELAY):
                parts.append(self._by_timetable(kind, day, passings, ahead))
            else:
                learned = train if len(train) else np.arange(int(self._passings.day.min(initial=day)), day)
                parts.append(self._by_links(kind, day, learned, passings, ahead))
        said = joined(parts)
        return said if len(said) else None

    def _ahead(self, passings: Passings) -> _Ahead:
        begin = -(-passings.at_ms // self._every_ms)
        goes_on = np.append(passings.run[1:] == passings.run[:-1], False) if len(passings) else np.zeros(0, np.bool_)
        moments = np.where(goes_on, np.append(begin[1:], 0) - begin, 0) if len(passings) else begin
        last = np.repeat(np.arange(len(passings)), moments)
        made_ms = (begin[last] + _counted(moments)) * self._every_ms
        stops = np.diff(self._network.patterns.first)[self._network.pattern_of_row[passings.row[last]]]
        left = stops - passings.rank[last] - 1
        which = np.repeat(np.arange(len(last)), left)
        return _Ahead(made_ms[which], last[which], passings.rank[last][which] + 1 + _counted(left))

    def _by_timetable(self, kind: Baseline, day: int, passings: Passings, ahead: _Ahead) -> Forecasts:
        trips = self._network.trips
        zero_ms = day_zero_ms(date(day), self._network.time_zone)
        trip, shift_ms = self._planned(day, passings)
        zero = zero_ms + shift_ms
        known = trip[ahead.passing] >= 0
        ahead = _Ahead(ahead.made_ms[known], ahead.passing[known], ahead.place[known])
        last = ahead.passing
        planned_ms = zero[last] + 1000 * trips.arrival_s[trips.first[trip[last]] + ahead.place].astype(np.int64)
        if kind is Baseline.TIMETABLE:
            return self._said(passings, ahead, planned_ms)
        here = np.where(trip >= 0, trips.first[trip] + passings.rank, 0)
        planned_s = np.where(passings.arrived, trips.arrival_s[here], trips.departure_s[here]).astype(np.int64)
        delay_ms = np.maximum(passings.at_ms - (zero + 1000 * planned_s), -EARLY_MAX_MS)
        return self._said(passings, ahead, np.maximum(planned_ms + delay_ms[last], ahead.made_ms))

    def _planned(self, day: int, passings: Passings) -> tuple[Codes, Index]:
        """Return the trip of each passing's run, -1 where there is none, and how far its times are shifted."""
        network, trips = self._network, self._network.trips
        runs = service_day(network, date(day))
        stops_of = _stop_lists(network)
        list_of_run = stops_of[trips.pattern[runs.trip]]
        trip, shift_ms = np.full(len(passings), -1, dtype=np.int32), np.zeros(len(passings), dtype=np.int64)
        first = np.flatnonzero(np.diff(passings.run, prepend=-1))
        for begin, end in zip(first.tolist(), [*first[1:].tolist(), len(passings)], strict=True):
            told = int(passings.trip[begin])
            if told >= 0 and trips.scheduled[told]:
                trip[begin:end] = told
            alike = list_of_run == stops_of[network.pattern_of_row[passings.row[begin]]]
            alike &= (runs.trip == told) if trip[begin] >= 0 else True
            tried = np.flatnonzero(alike)
            if len(tried):
                there_s = runs.shift_s[tried] + trips.arrival_s[trips.first[runs.trip[tried]] + passings.rank[begin]]
                off_ms = np.abs(runs.zero_ms + 1000 * there_s.astype(np.int64) - passings.at_ms[begin])
                nearest = tried[int(np.argmin(off_ms))]
                trip[begin:end], shift_ms[begin:end] = runs.trip[nearest], 1000 * int(runs.shift_s[nearest])
        return trip, shift_ms

    def _by_links(self, kind: Baseline, day: int, learned: Index, passings: Passings, ahead: _Ahead) -> Forecasts:
        network = self._network
        alike = learned[_day_type(learned) == _day_type(np.array([day]))]
        medians_s = self._links.medians(alike if len(alike) else learned)
        zero_ms = day_zero_ms(date(day), network.time_zone)
        sums, counts = self._links.recent(zero_ms) if kind is Baseline.RECENT else (None, None)
        row = passings.row[ahead.passing]
        target = row - passings.rank[ahead.passing] + ahead.place
        arrival_ms = np.zeros(len(row), dtype=np.int64)
        order = np.argsort(ahead.made_ms, kind="stable")
        moments, first = np.unique(ahead.made_ms[order], return_index=True)
        hours = hour_of(moments, network.time_zone)
        for made_ms, hour, part in zip(moments.tolist(), hours.tolist(), np.split(order, first[1:]), strict=True):
            rate_s = medians_s[hour]
            if sums is not None and counts is not None:
                minute = min(max((made_ms - zero_ms) // MINUTE_MS, 0), DAY_MINUTES - 1)
                rate_s = (RECENT_PRIOR * rate_s + sums[minute]) / (RECENT_PRIOR + counts[minute])
            way_s = np.cumsum(rate_s[self._links.of_row])
            next_ms = passings.at_ms[ahead.passing[part]] + 1000 * (way_s[row[part] + 1] - way_s[row[part]])
            beyond_ms = 1000 * (way_s[target[part]] - way_s[row[part] + 1])
            arrival_ms[part] = np.rint(np.maximum(next_ms, made_ms) + beyond_ms)
        return self._said(passings, ahead, arrival_ms)

    def _said(self, passings: Passings, ahead: _Ahead, arrival_ms: Index) -> Forecasts:
        near = np.flatnonzero(arrival_ms - ahead.made_ms <= AHEAD_MAX_MS)
        last, patterns = ahead.passing[near], self._network.patterns
        row = passings.row[last] - passings.rank[last] + ahead.place[near]
        unknown: Floats = np.full(len(near), np.nan)
        return Forecasts(
            made_ms=ahead.made_ms[near],
            vehicle=passings.vehicle[last],
            route=passings.route[last],
            direction=passings.direction[last],
            stop=patterns.stop[row],
            sequence=patterns.stop_sequence[row],
            arrival_ms=arrival_ms[near],
            p10_ms=unknown,
            p90_ms=unknown,
        )


def _counted(sizes: npt.NDArray[np.integer]) -> Index:
    """Return 0, 1 … up to each size, one after the other."""
    return np.asarray(np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes), dtype=np.int64)


def _day_type(days: Index) -> Index:
    """Return 0 for working days, 5 for Saturdays, 6 for Sundays; day 0 was a Thursday."""
    weekday = (days + 3) % 7
    return np.where(weekday < 5, 0, weekday)


def _stop_lists(network: Network) -> Codes:
    """Return, per pattern, a number that patterns of one route and direction with the same stops share."""
    patterns, known = network.patterns, dict[tuple[int, int, bytes], int]()
    found = np.zeros(len(patterns), dtype=np.int32)
    for pattern in range(len(patterns)):
        stops = patterns.stop[patterns.rows(pattern)].tobytes()
        key = (int(patterns.route[pattern]), int(patterns.direction[pattern]), stops)
        found[pattern] = known.setdefault(key, len(known))
    return found
