"""Who drives what on a day: runs of the planned network chained into duties of buses. Pure.

Frequency services become departures at their headway; timetabled trips are as they are. A bus that has ended a run
takes the next one that leaves near where it stands. If a day needs more buses than there are, headways are stretched
and timetabled trips left out, evenly, until it fits.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gtfs_data.calendar import service_day
from gtfs_data.network import Network

LAYOVER_S: Final = 240  # between two runs, so that delays of the first rarely reach the second
NEAR_M: Final = 400.0  # from a last stop to the first stop of the next run
FIT_ROUNDS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One drive along a pattern, leaving its first stop at ``departure_ms``. ``trip`` gives the planned times."""

    pattern: int
    trip: int
    departure_ms: int
    planned_s: float


@dataclass(frozen=True, slots=True)
class Duty:
    """What one bus does, in order of time."""

    runs: tuple[Run, ...]


def duties_of(network: Network, dates: Sequence[dt.date], buses: int) -> list[Duty]:
    """Return at most ``buses`` duties that drive the services of ``dates``."""
    stretch, share = 1.0, 1.0
    busiest: list[Duty] = []
    for _ in range(FIT_ROUNDS):
        duties = _chain(network, _runs(network, dates, stretch, share))
        if len(duties) <= buses:
            return duties
        fullest = sorted(duties, key=lambda duty: -len(duty.runs))[:buses]
        busiest = max(busiest, fullest, key=lambda some: sum(len(duty.runs) for duty in some))
        stretch *= max(len(duties) / buses, 1.02)
        share *= min(buses / len(duties), 0.98)
    return busiest  # fewer buses than lines: some lines have none


def _runs(network: Network, dates: Sequence[dt.date], stretch: float, share: float) -> list[Run]:
    found: list[Run] = []
    trips = network.trips
    for date in dates:
        day = service_day(network, date)
        kept = np.floor(np.arange(1, len(day.trip) + 1) * share) > np.floor(np.arange(len(day.trip)) * share)
        for trip, start_ms in zip(day.trip[kept].tolist(), day.start_ms[kept].tolist(), strict=True):
            found.append(_run(network, trip, start_ms))
        for window in day.headways:
            step_ms = round(1000 * window.headway_s * stretch)
            pattern = int(trips.pattern[window.trip])
            first_ms = window.start_ms + (pattern * 7919) % max(step_ms // 2, 1)  # not all lines on the hour
            found += [_run(network, window.trip, at) for at in range(first_ms, window.end_ms, step_ms)]
    return sorted(found, key=lambda run: (run.departure_ms, run.pattern))


def _run(network: Network, trip: int, departure_ms: int) -> Run:
    trips = network.trips
    rows = trips.rows(trip)
    planned_s = float(trips.arrival_s[rows.stop - 1] - trips.departure_s[rows.start])
    return Run(pattern=int(trips.pattern[trip]), trip=trip, departure_ms=departure_ms, planned_s=planned_s)


def _chain(network: Network, runs: Sequence[Run]) -> list[Duty]:
    """Give each run to a bus of its route that is ready near its first stop, else to a new bus.

    The bus that came last goes first: layovers stay short, and whoever is not needed after the rush rests for long,
    as crews do, instead of everybody standing a little longer.
    """
    patterns = network.patterns
    starts = network.stops.xy[patterns.stop[patterns.first[:-1]]]
    ends = network.stops.xy[patterns.stop[patterns.first[1:] - 1]]
    chained: list[list[Run]] = []
    of_route: defaultdict[int, list[int]] = defaultdict(list)  # buses by route
    for run in runs:
        route = int(patterns.route[run.pattern])
        ready = [
            bus
            for bus in of_route[route]
            if _ready_ms(chained[bus][-1]) <= run.departure_ms
            and float(np.hypot(*(ends[chained[bus][-1].pattern] - starts[run.pattern]))) <= NEAR_M
        ]
        if ready:
            bus = max(ready, key=lambda bus: (_ready_ms(chained[bus][-1]), -bus))
        else:
            bus = len(chained)
            chained.append([])
            of_route[route].append(bus)
        chained[bus].append(run)
    return [Duty(tuple(each)) for each in chained]


def _ready_ms(run: Run) -> float:
    return run.departure_ms + 1000 * (run.planned_s + LAYOVER_S)
