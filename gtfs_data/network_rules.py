"""Faults that show only in the network: stops nobody serves, speeds no bus drives, a timetable that is over."""

import datetime as dt
from typing import Final

import numpy as np
import numpy.typing as npt

from gtfs_data import fields
from gtfs_data.network import Network
from gtfs_data.notices import KEPT_PER_CODE, Code, Notice, Notices, Severity
from gtfs_data.patterns import TripRows
from gtfs_data.read import Tables

FAST_MPS: Final = 150 / 3.6  # no city bus or tram drives faster than 150 km/h; rail is not judged
SLACK_S: Final = 60  # times given to the minute may be this much apart
NOT_ROAD: Final = (1, 2, 12)  # metro, rail, monorail; and, from 100, the extended types


def say_fast(network: Network, notices: Notices) -> None:
    """Say where a timetable asks for a speed that no vehicle of the street reaches."""
    trips, patterns = network.trips, network.patterns
    size = np.diff(trips.first)
    place = np.arange(len(trips.arrival_s)) - np.repeat(trips.first[:-1], size)
    offset_m = patterns.offset_m[np.repeat(patterns.first[trips.pattern], size) + place]
    kind = network.routes.types[patterns.route]
    judged = np.repeat((~np.isin(kind, NOT_ROAD) & (kind < 100))[trips.pattern], size)
    needed_s = trips.arrival_s[1:] - trips.departure_s[:-1] + SLACK_S
    fast = (place[1:] > 0) & judged[1:] & (np.diff(offset_m) > FAST_MPS * needed_s)
    rows = np.flatnonzero(fast) + 1
    first = []
    for row in rows[:KEPT_PER_CODE].tolist():
        trip = int(np.searchsorted(trips.first, row, side="right")) - 1
        stop = int(patterns.stop[patterns.first[trips.pattern[trip]] + place[row]])
        metres, seconds = offset_m[row] - offset_m[row - 1], int(trips.arrival_s[row] - trips.departure_s[row - 1])
        rule = f"{metres:.0f} m to stop {network.stops.ids[stop]} in {seconds} s: faster than 150 km/h"
        first.append(_warning(Code.FAST_TRAVEL, "stop_times.txt", "trip_id", network.trips.ids[trip], rule))
    if len(rows):
        notices.add_many(Severity.WARNING, Code.FAST_TRAVEL, first, len(rows))


def say_expired(network: Network, on: dt.date | None, notices: Notices) -> None:
    """Say if nothing runs on the day ``on`` or later."""
    days = np.flatnonzero(network.services.runs.any(axis=0))
    if on is None or not len(days):
        return
    last = network.services.first_date + dt.timedelta(days=int(days[-1]))
    if last < on:
        rule = f"nothing runs after this day, and it is {on}"
        notices.add([_warning(Code.FEED_EXPIRED, "calendar.txt", "end_date", f"{last}", rule)])


def say_unused(tables: Tables, rows: TripRows, placed: npt.NDArray[np.bool_], notices: Notices) -> None:
    """Say which stops no trip serves."""
    used = np.zeros(len(placed), dtype=np.bool_)
    used[rows.stop] = True
    stops = tables.get("stops")
    kind = np.nan_to_num(fields.numbers(stops, "location_type").values)
    idle = np.flatnonzero(~used & placed & (kind == 0))
    ids = fields.texts(stops.iloc[idle[:KEPT_PER_CODE]], "stop_id")
    first = [
        Notice(
            severity=Severity.WARNING,
            code=Code.UNUSED_STOP,
            file="stops.txt",
            row=int(r) + 2,
            field="stop_id",
            value=stop_id,
            rule="no usable trip stops here",
        )
        for r, stop_id in zip(idle[:KEPT_PER_CODE].tolist(), ids, strict=True)
    ]
    if len(idle):
        notices.add_many(Severity.WARNING, Code.UNUSED_STOP, first, len(idle))


def _warning(code: Code, file: str, field: str, value: str, rule: str) -> Notice:
    return Notice(severity=Severity.WARNING, code=code, file=file, field=field, value=value, rule=rule)
