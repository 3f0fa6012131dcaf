"""Derive observed passings from a recording: follow each vehicle with all of its track in view.

Owes nothing to the tracker, which it helps to judge: no hypotheses, no learned times, and the future is known. A
stretch of fixes is laid over each list of stops that it may have served (the trip told, else the lists of the route
told, else all whose stops it came near); visits to stops that follow one another in order and time are a run, and the
fullest runs are kept. It is strict: a visit lies between two fixes at most ``BRACKET_MS`` apart, and a run shows half
of its stops. What it leaves out is a hole, not a fault of the judged.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyproj

from gtfs_data.network import Network
from transit.accuracy.days import day_of
from transit.accuracy.forecasts import Floats, Index, InputError, Names
from transit.accuracy.passings import Observed, arranged
from transit.accuracy.recording import Recording
from transit.model import UNKNOWN_DIRECTION

NEAR_M: Final = 80.0  # of a stop: fixes are off by up to 50 m, and between two of them a street may bend
SAME_M: Final = 15.0  # as near as at its nearest: it stood there
BRACKET_MS: Final = 150_000
STRETCH_GAP_MS: Final = 600_000
STEP_MAX_MS: Final = 900_000  # from one stop seen to the next
SEEN_MIN: Final = 0.5  # of the stops of a run
STOPS_MIN: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class _Track:
    """A stretch of fixes of one vehicle, in metres."""

    vehicle: str
    trip: str
    route: str
    direction: int
    at_ms: Index
    xy: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """Visits to stops of one pattern, in order: their places within it, and when."""

    pattern: int
    place: Index
    at_ms: Index


def follow(
    recording: Recording, network: Network, names: Names, progress: Callable[[int], None] | None = None
) -> Observed:
    """Return the passings that ``recording`` shows; ``progress`` is told how many reports are done.

    Raises:
        InputError: if it shows none.
    """
    patterns = network.patterns
    parts, done = [], 0
    for track in _tracks(recording, network):
        done += len(track.at_ms)
        if progress is not None:
            progress(done)
        for run in _runs(track, network):
            rows = patterns.first[run.pattern] + run.place
            route = network.routes.ids[int(patterns.route[run.pattern])]
            direction = int(patterns.direction[run.pattern])
            parts.append(
                pd.DataFrame(
                    {
                        "vehicle_id": track.vehicle,
                        "route_id": route,
                        "direction_id": str(direction) if direction >= 0 else "",
                        "trip_id_performed": track.trip,
                        "stop": patterns.stop[rows],
                        "sequence": patterns.stop_sequence[rows],
                        "at_ms": run.at_ms,
                        "arrived": run.place > 0,  # at the first stop it is the departure that is told
                        "day": day_of(run.at_ms[:1], network.time_zone)[0],
                    }
                )
            )
    if progress is not None:
        progress(len(recording.batch))  # the shortest stretches were not followed
    if not parts:
        raise InputError(
            "the recording shows no vehicle that passed half of the stops of a line: is it the feed's city?"
        )
    return arranged(pd.concat(parts, ignore_index=True), network, names)


def _tracks(recording: Recording, network: Network) -> Iterator[_Track]:
    """Yield stretches: one vehicle, told one thing, never silent for long."""
    batch = recording.batch
    has_trip = np.array([trip != "" for trip in batch.trip_id], dtype=np.bool_)
    told = pd.DataFrame(
        {
            "vehicle": batch.vehicle_id,
            "trip": batch.trip_id,
            "route": np.where(has_trip, "", np.asarray(batch.route_id, dtype=object)),
            "direction": np.where(has_trip, UNKNOWN_DIRECTION, batch.direction_id),
        }
    )
    x, y = pyproj.Transformer.from_crs(4326, network.epsg, always_xy=True).transform(batch.lon, batch.lat)
    vehicle = pd.factorize(told["vehicle"])[0]
    order = np.lexsort((batch.fix_ms, vehicle))
    key = told.iloc[order].reset_index(drop=True)
    at_ms, xy = batch.fix_ms[order], np.column_stack([x, y])[order]
    new = (key != key.shift()).any(axis=1).to_numpy() | (np.diff(at_ms, prepend=0) > STRETCH_GAP_MS)
    for begin, end in zip(np.flatnonzero(new), [*np.flatnonzero(new)[1:], len(key)], strict=True):
        first = key.iloc[int(begin)]
        if end - begin >= STOPS_MIN and np.isfinite(xy[begin:end]).all():
            yield _Track(
                str(first["vehicle"]),
                str(first["trip"]),
                str(first["route"]),
                int(first["direction"]),
                at_ms[begin:end],
                xy[begin:end],
            )


def _runs(track: _Track, network: Network) -> list[_Run]:
    """Return the fullest runs that do not overlap in time."""
    found = [run for pattern in _possible(track, network) for run in _runs_of(track, pattern, network)]
    kept: list[_Run] = []
    for run in sorted(found, key=lambda run: (-len(run.place), run.at_ms[0], run.pattern)):
        if all(run.at_ms[0] >= other.at_ms[-1] or run.at_ms[-1] <= other.at_ms[0] for other in kept):
            kept.append(run)
    return kept


def _possible(track: _Track, network: Network) -> list[int]:
    """Return the patterns the stretch may have served, one of those with the same stops."""
    patterns = network.patterns
    trip, route = network.trip_by_id.get(track.trip), network.route_by_id.get(track.route)
    if trip is not None:
        return [int(network.trips.pattern[trip])]
    tried = list(range(len(patterns))) if route is None else [int(p) for p in network.patterns_of_route[route]]
    if track.direction >= 0 and route is not None:
        tried = [p for p in tried if int(patterns.direction[p]) in (track.direction, -1)] or tried
    low, high = track.xy.min(axis=0) - NEAR_M, track.xy.max(axis=0) + NEAR_M
    within = ((network.stops.xy >= low) & (network.stops.xy <= high)).all(axis=1)
    alike: dict[tuple[int, int, bytes], int] = {}
    for pattern in tried:
        stops = patterns.stop[patterns.rows(pattern)]
        if within[stops].mean() >= SEEN_MIN:
            alike.setdefault((int(patterns.route[pattern]), int(patterns.direction[pattern]), stops.tobytes()), pattern)
    return list(alike.values())


def _runs_of(track: _Track, pattern: int, network: Network) -> Iterator[_Run]:
    stops = network.patterns.stop[network.patterns.rows(pattern)]
    place, at_ms = _visits(track, network.stops.xy[stops])
    needed = max(SEEN_MIN * len(stops), STOPS_MIN)
    while len(np.unique(place)) >= needed:
        chain = _longest(place, at_ms)
        if len(chain) < needed:
            return
        yield _Run(pattern, place[chain], at_ms[chain])
        rest = (at_ms < at_ms[chain[0]]) | (at_ms > at_ms[chain[-1]])
        place, at_ms = place[rest], at_ms[rest]


def _visits(track: _Track, stop_xy: Floats) -> tuple[Index, Index]:
    """Return which stops were visited and when, in order of time: arrival, at the first stop departure."""
    begin, way = track.xy[:-1], np.diff(track.xy, axis=0)
    long_ms = np.diff(track.at_ms)
    to_stop = stop_xy[None, :, :] - begin[:, None, :]
    length2 = (way**2).sum(axis=1)[:, None] + 1e-9
    share = np.clip((to_stop * way[:, None, :]).sum(axis=2) / length2, 0.0, 1.0)
    off_m = np.hypot(*np.moveaxis(to_stop - share[..., None] * way[:, None, :], 2, 0))
    near = (off_m < NEAR_M) & (long_ms <= BRACKET_MS)[:, None]
    places, times = [], []
    for place in range(len(stop_xy)):
        at = np.flatnonzero(near[:, place])
        for visit in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1) if len(at) else []:
            offs_m = off_m[visit, place]
            there = visit[offs_m <= offs_m.min() + SAME_M]
            one = int(there[-1] if place == 0 else there[0])
            places.append(place)
            times.append(int(track.at_ms[one] + share[one, place] * long_ms[one]))
    order = np.lexsort((places, times))
    return np.array(places, dtype=np.int64)[order], np.array(times, dtype=np.int64)[order]


def _longest(place: Index, at_ms: Index) -> Index:
    """Return the numbers of the longest chain of visits whose places and times rise, no step too long."""
    count = np.ones(len(place), dtype=np.int64)
    before = np.full(len(place), -1, dtype=np.int64)
    first = np.searchsorted(at_ms, at_ms - STEP_MAX_MS)
    for number in range(len(place)):
        window = slice(int(first[number]), number)
        fits = (place[window] < place[number]) & (at_ms[window] < at_ms[number])
        if fits.any():
            # of chains equally long the one that skips least
            worth = np.where(fits, count[window] * 1_000 + place[window], -1)
            best = int(np.argmax(worth)) + window.start
            count[number], before[number] = count[best] + 1, best
    chain: list[int] = []
    at = int(np.argmax(count)) if len(count) else -1
    while at >= 0:
        chain.append(at)
        at = int(before[at])
    return np.array(chain[::-1], dtype=np.int64)
