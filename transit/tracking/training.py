"""Stop events into ``TravelTimes``: what ``ayaldama train`` does each night, and a replay between its days.

Pure and incremental: each day's events are added once, older days fade.
"""

import datetime as dt
import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.model import StopEvent
from transit.tracking.learned import DAY_KINDS, MINUTES, SLOT_S, SLOTS, LinkKey, StartKey, TravelTimes, day_kind

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]

HALF_LIFE_DAYS: Final = 21.0  # timetables and roads change with the season; three weeks hold enough of each weekday
UNCERTAINTY_S: Final = 120.0  # a passage known this well counts half: less would favour fast drives over jams
SECONDS_MAX: Final = 1_800.0  # longer between two neighbouring stops: not a drive
QUANTILE_LOW: Final = 0.02  # what lies outside is brought to the edge: a run-off clock, a bus that broke down
QUANTILE_HIGH: Final = 0.96
EPOCH: Final = dt.date(1970, 1, 1).toordinal()
UNSEEN_STOPS: Final = 8  # from the first: further on it is not known well enough when a run began
FORGOTTEN: Final = 0.05  # runs: a link with less is dropped


@dataclass(frozen=True, slots=True, eq=False)
class Drives:
    """Drives over links, one each: stop ids, when the stop ahead was reached, and how long it took."""

    origin: Sequence[str]
    target: Sequence[str]
    arrival_ms: Index
    seconds: Floats  # arrival to arrival; from the first stop of a run: departure to arrival
    dwell_s: Floats  # at the first stop, NaN where it was the first of the run
    weight: Floats


def drives_of(events: Iterable[StopEvent]) -> Drives:
    """Return the drives between consecutive stop events of each run; ``events`` in any order."""
    ordered = sorted(events, key=lambda event: (event.vehicle_id, event.run_key, event.stop_sequence))
    rows = []
    for before, after in itertools.pairwise(ordered):
        same = before.vehicle_id == after.vehicle_id and before.run_key == after.run_key
        if not same or after.trip_stop_sequence != before.trip_stop_sequence + 1:
            continue
        begins = before.trip_stop_sequence == 1  # what it stood there is layover, not traffic
        left_ms = before.departure_ms or before.arrival_ms
        start_ms = left_ms if begins else before.arrival_ms
        seconds = (after.arrival_ms - start_ms) / 1000
        if not 0 < seconds <= SECONDS_MAX:
            continue
        dwell_s = np.nan if begins else (left_ms - before.arrival_ms) / 1000
        error_s = max(before.uncertainty_s, after.uncertainty_s)
        weight = 1.0 / (1.0 + (error_s / UNCERTAINTY_S) ** 2)
        rows.append((before.stop_id, after.stop_id, after.arrival_ms, seconds, dwell_s, weight))
    columns = list(zip(*rows, strict=True)) or [()] * 6
    return Drives(
        columns[0],
        columns[1],
        np.array(columns[2], dtype=np.int64),
        *(np.array(column, dtype=np.float64) for column in columns[3:]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Leavings:
    """Departures from the first stops of runs: where, and when."""

    keys: Sequence[StartKey]
    when_ms: Index


Place = tuple[str, int, str, int]  # route id, direction, stop id, which stop of the run
Beginnings = Mapping[Place, tuple[str, float]]  # the first stop of a run that passes there, and how many seconds before


def planned_beginnings(network: Network) -> dict[Place, tuple[str, float]]:
    """Return what the feed says of where and when a run began that is seen at one of its next stops."""
    patterns, trips = network.patterns, network.trips
    found: dict[Place, tuple[str, float]] = {}
    used, first_trip = np.unique(trips.pattern, return_index=True)
    for pattern, trip in zip(used.tolist(), first_trip.tolist(), strict=True):
        row, at = int(patterns.first[pattern]), int(trips.first[trip])
        route, direction = network.routes.ids[int(patterns.route[pattern])], int(patterns.direction[pattern])
        begins = network.stops.ids[int(patterns.stop[row])]
        for place in range(1, min(UNSEEN_STOPS, int(patterns.first[pattern + 1]) - row - 1) + 1):
            seconds = float(trips.arrival_s[at + place]) - float(trips.departure_s[at])
            stop = network.stops.ids[int(patterns.stop[row + place])]
            found.setdefault((route, direction, stop, place + 1), (begins, seconds))
    return found


def leavings_of(events: Iterable[StopEvent], planned: Beginnings | None = None) -> Leavings:
    """Return the departures from first stops that ``events`` show or let follow.

    A run first seen at one of its next stops left as long before as others needed, who were seen from the beginning;
    where nobody was, as ``planned``.
    """
    ordered = sorted(events, key=lambda event: (event.vehicle_id, event.run_key, event.stop_sequence))
    runs = [list(run) for _, run in itertools.groupby(ordered, key=lambda event: (event.vehicle_id, event.run_key))]
    needed: dict[Place, list[tuple[str, float]]] = {}
    found: list[tuple[StartKey, int]] = []
    unseen = []
    for first, *others in runs:
        if first.trip_stop_sequence == 1 and first.departure_ms is not None:
            found.append(((first.route_id, first.stop_id), first.departure_ms))
            for event in others[:UNSEEN_STOPS]:
                drive_s = (event.arrival_ms - first.departure_ms) / 1000
                needed.setdefault(_place(event), []).append((first.stop_id, drive_s))
        else:
            unseen.append(first)
    for event in unseen:
        seen = needed.get(_place(event)) or [kept for kept in ((planned or {}).get(_place(event)),) if kept]
        if seen:
            usual_s = statistics.median(seconds for _, seconds in seen)
            stop = statistics.mode(stop for stop, _ in seen)
            found.append(((event.route_id, stop), round(event.arrival_ms - 1000 * usual_s)))
    found.sort(key=lambda one: one[1])
    return Leavings([key for key, _ in found], np.array([when for _, when in found], dtype=np.int64))


def _place(event: StopEvent) -> Place:
    return (event.route_id, event.direction_id, event.stop_id, event.trip_stop_sequence)


def learn(
    before: TravelTimes | None, drives: Drives, leavings: Leavings, until: dt.date, zone: ZoneInfo
) -> TravelTimes:
    """Return ``before`` faded to ``until``, with ``drives`` and ``leavings`` added."""
    kept = _faded(before, until) if before is not None else _nothing(until)
    number = {key: i for i, key in enumerate(kept.links)}
    link = np.array(
        [number.setdefault(key, len(number)) for key in zip(drives.origin, drives.target, strict=True)], dtype=np.int64
    )
    count = len(number)
    seconds, weight = _widen(kept.seconds, count), _widen(kept.weight, count)
    dwell, square = _widen(kept.dwell, count), _widen(kept.square, count)
    if len(link):
        kind, second, _ = _when(drives.arrival_ms, zone)
        slot = np.minimum(second // SLOT_S, SLOTS - 1).astype(np.int64)
        tame, mean = _tamed(link, drives.seconds, count)
        np.add.at(seconds, (kind, slot, link), drives.weight * tame)
        np.add.at(weight, (kind, slot, link), drives.weight)
        np.add.at(square[0], link, drives.weight * (tame - mean[link]) ** 2)
        np.add.at(square[1], link, drives.weight)
        told = np.isfinite(drives.dwell_s)
        np.add.at(dwell[0], link[told], (drives.weight * np.minimum(drives.dwell_s, drives.seconds))[told])
        np.add.at(dwell[1], link[told], drives.weight[told])
    starts, left, days = _left(kept, leavings, zone)
    return TravelTimes(until, tuple(number), seconds, weight, dwell, square, starts, left, days)


def _left(kept: TravelTimes, leavings: Leavings, zone: ZoneInfo) -> tuple[tuple[StartKey, ...], Singles, Floats]:
    number = {key: i for i, key in enumerate(kept.starts)}
    start = np.array([number.setdefault(key, len(number)) for key in leavings.keys], dtype=np.int64)
    left = np.zeros((DAY_KINDS, len(number), MINUTES), dtype=np.float32)
    left[:, : len(kept.starts)] = kept.left
    days = kept.days.copy()
    if len(start):
        kind, second, day = _when(leavings.when_ms, zone)
        np.add.at(left, (kind, start, (second // 60).astype(np.int64)), np.float32(1.0))
        for number_of_day in np.unique(day).tolist():
            days[day_kind(dt.date.fromordinal(EPOCH + number_of_day))] += float((day == number_of_day).mean() > 0.05)
    return tuple(number), left, days


def _tamed(link: Index, seconds: Floats, count: int) -> tuple[Floats, Floats]:
    """Return ``seconds`` brought within each link's quantiles, and the mean of each link."""
    order = np.lexsort((seconds, link))
    runs = np.bincount(link, minlength=count)
    first = np.cumsum(runs) - runs
    sorted_s = np.append(seconds[order], 0.0)
    low = sorted_s[np.minimum(first + np.floor(QUANTILE_LOW * runs).astype(np.int64), len(order) - 1)]
    high = sorted_s[
        np.minimum(first + np.ceil(QUANTILE_HIGH * np.maximum(runs - 1, 0)).astype(np.int64), len(order) - 1)
    ]
    tame = np.clip(seconds, low[link], np.maximum(high, low)[link])
    mean = np.bincount(link, tame, minlength=count) / np.maximum(runs, 1)
    return np.asarray(tame, dtype=np.float64), np.asarray(mean, dtype=np.float64)


def _when(when_ms: Index, zone: ZoneInfo) -> tuple[Index, Floats, Index]:
    """Return kind of day, local second of the day, and day since 1970; the zone is asked once an hour."""
    hours, of = np.unique(when_ms // 3_600_000, return_inverse=True)
    moments = [dt.datetime.fromtimestamp(int(hour) * 3_600, zone) for hour in hours.tolist()]
    shift_s = np.array([moment.utcoffset().total_seconds() for moment in moments])  # type: ignore[union-attr]
    local_s = when_ms / 1000 + shift_s[of]
    days = (local_s // 86_400).astype(np.int64)
    unique, day_of = np.unique(days, return_inverse=True)
    kinds = np.array([day_kind(dt.date.fromordinal(EPOCH + int(day))) for day in unique.tolist()], dtype=np.int64)
    return kinds[day_of], local_s - days * 86_400.0, days


def _nothing(until: dt.date) -> TravelTimes:
    empty = np.zeros((DAY_KINDS, SLOTS, 0))
    nobody = np.zeros((DAY_KINDS, 0, MINUTES), dtype=np.float32)
    return TravelTimes(until, (), empty, empty, np.zeros((2, 0)), np.zeros((2, 0)), (), nobody, np.zeros(DAY_KINDS))


def _faded(times: TravelTimes, until: dt.date) -> TravelTimes:
    fade = 0.5 ** (max((until - times.as_of).days, 0) / HALF_LIFE_DAYS)
    keep = np.flatnonzero(times.weight.sum(axis=(0, 1)) * fade >= FORGOTTEN)
    links: tuple[LinkKey, ...] = tuple(times.links[i] for i in keep.tolist())
    return TravelTimes(
        until,
        links,
        times.seconds[:, :, keep] * fade,
        times.weight[:, :, keep] * fade,
        times.dwell[:, keep] * fade,
        times.square[:, keep] * fade,
        times.starts,
        times.left * np.float32(fade),
        times.days * fade,
    )


def _widen(values: Floats, count: int) -> Floats:
    wide = np.zeros((*values.shape[:-1], count))
    wide[..., : values.shape[-1]] = values
    return wide
