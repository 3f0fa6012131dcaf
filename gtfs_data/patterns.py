"""Trips and their stop times as arrays: rows sorted and joined, unusable trips left out, patterns found, times filled.

A pattern is a route, a direction, a shape and an ordered list of (stop, stop_sequence). Trips are compared by a hash of
their rows and then row by row, so millions of stop times need no loop.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from gtfs_data import fields
from gtfs_data.notices import KEPT_PER_CODE, Code, Notice, Notices, Severity
from gtfs_data.read import Tables

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MIX: Final = tuple(np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))


@dataclass(frozen=True, slots=True, eq=False)
class TripRows:
    """Stop times of usable trips, sorted by trip and sequence; ``trip`` counts the usable trips from 0."""

    trip_row: Ints  # of each usable trip in trips.txt
    first: Ints  # [trips + 1]
    stop: Ints  # row in stops.txt
    sequence: Ints
    arrival_s: Floats  # NaN where not given
    departure_s: Floats
    distance: Floats  # shape_dist_traveled, NaN where not given

    @property
    def owner(self) -> Ints:
        """Return the usable trip of each row."""
        return np.repeat(np.arange(len(self.trip_row)), np.diff(self.first))


def trip_rows(tables: Tables, stop_usable: Bools, trip_usable: Bools, notices: Notices) -> TripRows:
    """Return the stop times of usable trips; say which trips are left out and why."""
    table, trips, stops = tables.get("stop_times"), tables.get("trips"), tables.get("stops")
    trip = fields.find(fields.texts(trips, "trip_id"), fields.column(table, "trip_id"))
    stop = fields.find(fields.texts(stops, "stop_id"), fields.column(table, "stop_id"))
    sequence = fields.numbers(table, "stop_sequence")
    arrival, departure = fields.times(table, "arrival_time"), fields.times(table, "departure_time")
    arrival_s = np.where(np.isnan(arrival.values), departure.values, arrival.values)
    departure_s = np.where(np.isnan(departure.values), arrival.values, departure.values)
    bad_row = (stop < 0) | ~stop_usable[stop] | sequence.missing | sequence.wrong | arrival.wrong | departure.wrong
    known = trip >= 0
    bad_trip = ~trip_usable.copy()
    bad_trip[trip[known & bad_row]] = True
    order = np.flatnonzero(known)
    key = trip[order] * (1 << 32) + np.nan_to_num(sequence.values[order]).astype(np.int64)
    if len(key) and not bool((np.diff(key) >= 0).all()):
        order = order[np.argsort(key, kind="stable")]
        key = np.sort(key, kind="stable")
    trip = trip[order]
    arrival_s, departure_s = arrival_s[order], departure_s[order]
    again = np.flatnonzero((np.diff(key) == 0) & ~bad_trip[trip[1:]])
    bad_trip[trip[again]] = True
    _tell(
        table,
        notices,
        Code.DUPLICATE_KEY,
        "stop_sequence",
        "each stop_sequence may stand once in a trip",
        order[again + 1],
    )
    bad_trip |= _wrong_times(table, notices, trip, arrival_s, departure_s, order, bad_trip, len(trips))
    sizes = np.bincount(trip, minlength=len(trips))
    _tell_trips(tables, notices, sizes, bad_trip, trip_usable)
    bad_trip |= sizes < 2
    keep = ~bad_trip[trip]
    trip_row = np.flatnonzero(~bad_trip)
    rows = order[keep]
    return TripRows(
        trip_row=trip_row,
        first=np.concatenate([[0], np.cumsum(sizes[trip_row])]).astype(np.int64),
        stop=stop[rows],
        sequence=sequence.values[rows].astype(np.int64),
        arrival_s=arrival_s[keep],
        departure_s=departure_s[keep],
        distance=fields.numbers(table, "shape_dist_traveled").values[rows],
    )


def group(rows: TripRows, route: Ints, direction: Ints, shape: Ints) -> tuple[Ints, Ints]:
    """Return ``(pattern of each trip, first trip of each pattern)``; patterns are in order of route and direction.

    ``route``, ``direction`` and ``shape`` are numbers per usable trip.
    """
    size = np.diff(rows.first)
    place = np.arange(len(rows.stop)) - np.repeat(rows.first[:-1], size)
    with np.errstate(over="ignore"):
        word = (rows.stop.astype(np.uint64) + np.uint64(1)) * MIX[0]
        word ^= (place.astype(np.uint64) + np.uint64(1)) * MIX[1]
        word += (rows.sequence.astype(np.uint64) + np.uint64(1)) * MIX[2]
        word ^= word >> np.uint64(29)
        word *= MIX[1]
        word ^= word >> np.uint64(32)
        word *= MIX[0]
        total = np.add.reduceat(word, rows.first[:-1]) if len(size) else word
    keys = np.column_stack([route, direction, shape, size, total.astype(np.int64)])
    _, first_trip, pattern = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    pattern = pattern.reshape(-1).astype(np.int64)
    model = np.repeat(rows.first[first_trip[pattern]], size) + place
    if not (np.array_equal(rows.stop, rows.stop[model]) and np.array_equal(rows.sequence, rows.sequence[model])):
        raise AssertionError("two different lists of stops have one hash")  # chance 1 in 10^13: better loud than wrong
    return pattern, first_trip.astype(np.int64)


def fill_times(rows: TripRows, offset_m: Floats) -> tuple[Ints, Ints, Bools]:
    """Return arrival and departure seconds of every row, and which were given; the others go by distance.

    ``offset_m`` is the offset of each row's stop. First and last rows of a trip have times (``trip_rows`` saw to it).
    """
    given = ~np.isnan(rows.arrival_s)
    if given.all():
        return rows.arrival_s.astype(np.int64), rows.departure_s.astype(np.int64), given
    place = np.arange(len(offset_m)) - np.repeat(rows.first[:-1], np.diff(rows.first))
    reach = float(offset_m.max()) + len(offset_m) * 1e-3 + 1.0
    key = rows.owner * reach + offset_m + place * 1e-3  # stops at one place still come one after the other
    before = np.maximum.accumulate(np.where(given, np.arange(len(key)), -1))
    after = np.minimum.accumulate(np.where(given, np.arange(len(key)), len(key))[::-1])[::-1]
    share = (key - key[before]) / np.maximum(key[after] - key[before], 1e-9)
    filled = rows.departure_s[before] + share * (rows.arrival_s[after] - rows.departure_s[before])
    arrival = np.where(given, rows.arrival_s, np.rint(filled)).astype(np.int64)
    departure = np.where(given, rows.departure_s, np.rint(filled)).astype(np.int64)
    return arrival, departure, given


def _wrong_times(
    table: pd.DataFrame,
    notices: Notices,
    trip: Ints,
    arrival_s: Floats,
    departure_s: Floats,
    row: Ints,
    bad_trip: Bools,
    count: int,
) -> Bools:
    """Return which trips have no time at an end, or go back in time."""
    wrong = np.zeros(count, dtype=np.bool_)
    head = np.ones(len(trip), dtype=np.bool_)
    head[1:] = trip[1:] != trip[:-1]
    tail = np.append(head[1:], True) if len(head) else head
    edge = np.flatnonzero((head | tail) & np.isnan(arrival_s) & ~bad_trip[trip])
    wrong[trip[edge]] = True
    rule = "the first and last stop of a trip need a time"
    _tell(table, notices, Code.MISSING_TRIP_EDGE_TIME, "arrival_time", rule, row[edge])
    given = np.flatnonzero(~np.isnan(arrival_s))
    same = trip[given][1:] == trip[given][:-1]
    back = np.flatnonzero(same & (arrival_s[given][1:] < departure_s[given][:-1]) & ~bad_trip[trip[given][1:]])
    inside = given[departure_s[given] < arrival_s[given]]
    decreasing = np.union1d(given[back + 1], inside[~bad_trip[trip[inside]]])
    wrong[trip[decreasing]] = True
    rule = "must not be before the time of the stop before"
    _tell(table, notices, Code.DECREASING_TIME, "arrival_time", rule, row[decreasing])
    return wrong


def _tell(table: pd.DataFrame, notices: Notices, code: Code, field: str, rule: str, rows: Ints) -> None:
    if len(rows):
        values = fields.texts(table.iloc[rows[:KEPT_PER_CODE]], field)
        first = [
            Notice(
                severity=Severity.ERROR,
                code=code,
                file="stop_times.txt",
                row=int(r) + 2,
                field=field,
                value=value,
                rule=rule,
            )
            for r, value in zip(rows.tolist(), values, strict=False)
        ]
        notices.add_many(Severity.ERROR, code, first, len(rows))


def _tell_trips(tables: Tables, notices: Notices, sizes: Ints, bad_trip: Bools, trip_usable: Bools) -> None:
    """Say which trips are left out: for too few stops, or for a fault named before."""
    ids = fields.texts(tables.get("trips"), "trip_id")
    for chosen, rule in (
        (trip_usable & ~bad_trip & (sizes < 2), "a trip needs two stop times; it is left out"),
        (trip_usable & bad_trip, "left out because of the errors in its stop times"),
    ):
        rows = np.flatnonzero(chosen)
        first = [
            Notice(
                severity=Severity.WARNING,
                code=Code.UNUSABLE_TRIP,
                file="trips.txt",
                row=int(r) + 2,
                field="trip_id",
                value=ids[int(r)],
                rule=rule,
            )
            for r in rows[:KEPT_PER_CODE].tolist()
        ]
        if len(rows):
            notices.add_many(Severity.WARNING, Code.UNUSABLE_TRIP, first, len(rows))
