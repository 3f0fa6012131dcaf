"""Service days: which runs a date has, and when they are in epoch time.

A *run* is one trip on one service day: a trip of trips.txt, one departure of frequencies.txt with exact_times=1, or,
for exact_times=0, no run at all but a *headway window*. GTFS times count from noon minus 12 h of the service day, which
is midnight except on days when clocks change (GTFS reference, "Time").
"""

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from gtfs_data.model import TripIdx
from gtfs_data.network import Ints, Network


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadwayWindow:
    """From ``start_ms`` up to ``end_ms`` a vehicle leaves the first stop of ``trip``'s pattern every ``headway_s``."""

    trip: TripIdx
    start_ms: int
    end_ms: int
    headway_s: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServiceDay:
    """The runs of one date, in order of departure from their first stop.

    The time of run r at stop k is ``zero_ms + 1000 * (shift_s[r] + trips.arrival_s[trips.first[trip[r]] + k])``.
    """

    date: dt.date
    zero_ms: int  # noon minus 12 h, epoch milliseconds
    trip: Ints
    shift_s: Ints  # 0 for trips of stop_times.txt, the shift of the departure for exact_times=1
    start_ms: npt.NDArray[np.int64]  # departure from the first stop
    end_ms: npt.NDArray[np.int64]  # arrival at the last stop
    headways: tuple[HeadwayWindow, ...]


def day_zero_ms(date: dt.date, time_zone: str) -> int:
    """Return noon minus 12 h of ``date`` in ``time_zone``, epoch milliseconds."""
    noon = dt.datetime.combine(date, dt.time(12), tzinfo=ZoneInfo(time_zone))
    return round((noon.timestamp() - 43_200) * 1000)


def local_date(now_ms: int, time_zone: str) -> dt.date:
    """Return the calendar date in ``time_zone`` at ``now_ms``."""
    return dt.datetime.fromtimestamp(now_ms / 1000, tz=ZoneInfo(time_zone)).date()


def utc_offset_s(now_ms: int, time_zone: str) -> int:
    """Return how far local time is ahead of UTC at ``now_ms``."""
    offset = dt.datetime.fromtimestamp(now_ms / 1000, tz=ZoneInfo(time_zone)).utcoffset()
    return round(offset.total_seconds()) if offset is not None else 0


def service_day(network: Network, date: dt.date) -> ServiceDay:
    """Return the runs and headway windows of ``date``; both are empty on a day without service."""
    zero_ms = day_zero_ms(date, network.time_zone)
    trips, frequencies = network.trips, network.frequencies
    runs_today = network.services.on(date)
    in_frequencies = np.zeros(len(trips.ids), dtype=np.bool_)
    in_frequencies[frequencies.trip] = True
    plain = np.flatnonzero(runs_today[trips.service] & ~in_frequencies)
    run_trips, shifts = [plain], [np.zeros(len(plain), dtype=np.int64)]
    headways: list[HeadwayWindow] = []
    for trip, start_s, end_s, headway_s, exact in zip(
        frequencies.trip.tolist(),
        frequencies.start_s.tolist(),
        frequencies.end_s.tolist(),
        frequencies.headway_s.tolist(),
        frequencies.exact.tolist(),
        strict=True,
    ):
        if not runs_today[trips.service[trip]]:
            continue
        if exact:
            departures = np.arange(start_s, end_s, headway_s, dtype=np.int64)
            run_trips.append(np.full(len(departures), trip))
            shifts.append(departures - int(trips.departure_s[trips.first[trip]]))
        else:
            headways.append(
                HeadwayWindow(
                    trip=TripIdx(trip),
                    start_ms=zero_ms + 1000 * start_s,
                    end_ms=zero_ms + 1000 * end_s,
                    headway_s=headway_s,
                )
            )
    trip_of_run = np.concatenate(run_trips).astype(np.int32)
    shift_s = np.concatenate(shifts).astype(np.int64)
    start_ms = zero_ms + 1000 * (shift_s + trips.departure_s[trips.first[trip_of_run]])
    end_ms = zero_ms + 1000 * (shift_s + trips.arrival_s[trips.first[trip_of_run + 1] - 1])
    order = np.lexsort((trip_of_run, start_ms))
    return ServiceDay(
        date=date,
        zero_ms=zero_ms,
        trip=trip_of_run[order],
        shift_s=shift_s[order].astype(np.int32),
        start_ms=start_ms[order],
        end_ms=end_ms[order],
        headways=tuple(sorted(headways, key=lambda window: (window.start_ms, window.trip))),
    )
