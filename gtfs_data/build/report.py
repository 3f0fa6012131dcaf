"""How much service a built feed holds, in the numbers that an operator knows by heart and will notice if wrong."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gtfs_data.build.model import LineKey, Plan, Terms
from gtfs_data.build.timetable import Line, Trip
from gtfs_data.notices import CheckReport

MINUTES: Final = 48 * 60  # service days last until the times of the last trips end


@dataclass(frozen=True, slots=True, kw_only=True)
class DayReport:
    """Service on a day of one type. ``vehicles`` is the most that are under way in each hour, from 0 o'clock on."""

    day_type: str
    departures: int
    service_hours: float
    vehicle_km: float
    vehicles: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What was built. ``warnings`` are oddities of the folder that the feed does without."""

    feed_version: str
    first_day: dt.date
    last_day: dt.date
    languages: tuple[str, ...]
    routes: int
    lines: int
    stops: int
    stop_names: int
    trips: int
    frequency_trips: int
    stop_times: int
    line_km: float
    shortest_km: float
    longest_km: float
    days: tuple[DayReport, ...]
    warnings: CheckReport


def report_on(
    plan: Plan, terms: Terms, lines: Mapping[LineKey, Line], trips: Sequence[Trip], version: str, warnings: CheckReport
) -> BuildReport:
    """Return the numbers of a built feed."""
    lengths_km = [line.length_m / 1_000 for line in lines.values()]
    return BuildReport(
        feed_version=version,
        first_day=terms.first_day,
        last_day=terms.last_day,
        languages=terms.languages,
        routes=len(plan.routes),
        lines=len(lines),
        stops=len(plan.stops),
        stop_names=len({stop.name[terms.languages[0]] for stop in plan.stops}),
        trips=len(trips),
        frequency_trips=sum(trip.headway_s > 0 for trip in trips),
        stop_times=sum(len(trip.line.calls) for trip in trips),
        line_km=sum(lengths_km),
        shortest_km=min(lengths_km),
        longest_km=max(lengths_km),
        days=tuple(_day(name, [t for t in trips if t.day_type == name], terms.layover_s) for name in terms.day_types),
        warnings=warnings,
    )


def _day(name: str, trips: Sequence[Trip], layover_s: int) -> DayReport:
    return DayReport(
        day_type=name,
        departures=sum(len(trip.starts_s) for trip in trips),
        service_hours=sum(len(trip.starts_s) * trip.running_s for trip in trips) / 3_600,
        vehicle_km=sum(len(trip.starts_s) * trip.line.length_m for trip in trips) / 1_000,
        vehicles=vehicles_by_hour(trips, layover_s),
    )


def vehicles_by_hour(trips: Iterable[Trip], layover_s: int) -> tuple[int, ...]:
    """Return the most vehicles under way at once in each hour, up to the last hour that has any.

    A vehicle is taken from its departure until it has rested at the other end. For one route with an even headway that
    is the running time of both directions and both rests, divided by the headway and rounded up.
    """
    change = np.zeros(MINUTES + 1, dtype=np.int64)
    for trip in trips:
        busy_s = trip.running_s + layover_s
        for start_s in trip.starts_s:
            change[min(start_s // 60, MINUTES)] += 1
            change[min(-(-(start_s + busy_s) // 60), MINUTES)] -= 1
    by_hour = np.cumsum(change[:-1]).reshape(-1, 60).max(axis=1)
    used = np.flatnonzero(by_hour)
    return tuple(by_hour[: used[-1] + 1].tolist()) if len(used) else ()
