"""The yardstick on the live system: what boards are told, judged by the stop passages that tracking then observed.

Once a minute all that is published becomes a ``Sample``. ``settle`` judges with the very code of ``ayaldama evaluate``
and counts what became certain from one moment to another: the predictions that led to a passing of that time, and
those for which no passing came. Slices of time that follow one another count every prediction once, whatever their
length, so figures are sums (``Tally``) that add up to hours and days.

Pure, and without a memory: samples of the last hour and stop events of the last hours are all that is needed, so a
restart loses nothing. The truth is the tracker's own here; ``evaluate`` judges by a method that shares nothing with it.
"""

import datetime as dt
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
import pandas as pd

from gtfs_data.network import Network
from transit.accuracy.bins import AHEAD_MAX_S, AHEAD_MIN_S, MBTA
from transit.accuracy.days import date as date_of
from transit.accuracy.days import day_of, number
from transit.accuracy.forecasts import Codes, Forecasts, Index, Names, joined
from transit.accuracy.judge import NEXT_ROUND_MS, SLACK_MS, Judged, Outcome, judge
from transit.accuracy.lists import PlannedLists
from transit.accuracy.passings import Observed, arranged
from transit.accuracy.recording import Recording
from transit.accuracy.tracks import Tracks
from transit.accuracy.verdicts import countdowns, to_foretell, verdicts
from transit.model import Arrival, PositionBatch, StopEvent, VehiclePosition
from transit.outcomes import ArrivalState

EVERY_S: Final = 60  # as often as ``evaluate`` looks
VEHICLES_MAX: Final = 1_000  # of a larger fleet a half, a quarter … is watched: memory and time stay bounded
LIVE: Final = frozenset({ArrivalState.LIVE, ArrivalState.LIVE_TERMINAL})  # what claims to know of a vehicle
SETTLED_AFTER_MS: Final = 900_000  # a stop event comes when the bus has left, a hole shows when it is further on
SAMPLES_BEFORE_MS: Final = 1000 * AHEAD_MAX_S + NEXT_ROUND_MS + SLACK_MS  # no passing belongs to an older prediction
EVENTS_BEFORE_MS: Final = 3 * 3_600_000  # so that runs are whole
COUNTS: Final = (
    "passings", "foretold", "under_way", "foretold_under_way", "countdowns", "rises", "passed", "phantoms", "holes",
    "unknown",
)  # fmt: skip
_COLUMNS: Final[Mapping[str, str]] = {
    "vehicle_id": "object",
    "route_id": "object",
    "direction_id": "object",
    "trip_id_performed": "object",
    "stop": "int32",
    "sequence": "int32",
    "at_ms": "int64",
    "arrived": "bool",
    "day": "int32",
}


class Sample(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What was published at ``at_s`` and where the vehicles were, in columns. Times: seconds since ``at_s``.

    ``vehicle`` and ``placed`` count ``vehicles``, ``route`` and ``stop`` those of the network ``feed_hash``.
    """

    at_s: int
    feed_hash: str
    one_of: int  # of so many vehicles one is watched (``watched``)
    vehicles: list[str]
    vehicle: list[int]
    route: list[int]
    direction: list[int]
    stop: list[int]
    sequence: list[int]
    arrival_s: list[int]
    p10_s: list[int]
    p90_s: list[int]
    placed: list[int]
    fix_s: list[int]
    lat: list[float]
    lon: list[float]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over predictions that led to a passing."""

    n: int = 0
    off_s: float = 0.0  # sizes of the errors
    late_s: float = 0.0  # errors; positive: the bus came later than said
    accurate: int = 0  # within the MBTA's bounds
    bounded: int = 0  # had an interval
    covered: int = 0  # of these: the passing lay within it
    width_s: float = 0.0  # of the intervals


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over one route and one service date. ``told``: by minutes ahead (``bins.MBTA``)."""

    service_date: str
    route_id: str
    told: dict[str, Told] = {}
    passings: int = 0  # from the third stop on
    foretold: int = 0  # of these: with a prediction 4 to 6 minutes before
    under_way: int = 0  # of the passings: at least six minutes into their run
    foretold_under_way: int = 0
    countdowns: int = 0  # of two predictions or more
    rises: int = 0  # of 60 s or more
    passed: int = 0  # predictions of what had been
    phantoms: int = 0
    holes: int = 0  # not judged
    unknown: int = 0


def watched(vehicle_id: str, one_of: int) -> bool:
    """Say whether a vehicle is among those watched: the same ones at all times and in all processes."""
    return zlib.crc32(vehicle_id.encode()) % one_of == 0


def sample_of(vehicles: Iterable[VehiclePosition], arrivals: Iterable[Arrival], network: Network, at_ms: int) -> Sample:
    """Return what is published at ``at_ms``, as far as it is live and from just over to half an hour ahead."""
    positions = {one.vehicle_id: one for one in vehicles}
    one_of = 1
    while len(positions) > VEHICLES_MAX * one_of:
        one_of *= 2
    at_s = at_ms // 1000
    said = [
        one
        for one in arrivals
        if one.state in LIVE
        and one.stop_id in network.stop_by_id
        and 1000 * AHEAD_MIN_S <= one.arrival_ms - at_ms <= 1000 * AHEAD_MAX_S
        and watched(one.vehicle_id, one_of)
    ]
    said.sort(key=lambda one: (one.vehicle_id, one.arrival_ms))
    seen = sorted(vehicle_id for vehicle_id in positions if watched(vehicle_id, one_of))
    numbers = {vehicle_id: i for i, vehicle_id in enumerate(dict.fromkeys([*seen, *(one.vehicle_id for one in said)]))}
    return Sample(
        at_s=at_s,
        feed_hash=network.feed_hash,
        one_of=one_of,
        vehicles=list(numbers),
        vehicle=[numbers[one.vehicle_id] for one in said],
        route=[network.route_by_id.get(one.route_id, -1) for one in said],
        direction=[one.direction_id for one in said],
        stop=[network.stop_by_id[one.stop_id] for one in said],
        sequence=[one.stop_sequence for one in said],
        arrival_s=[round(one.arrival_ms / 1000) - at_s for one in said],
        p10_s=[round(one.arrival_p10_ms / 1000) - at_s for one in said],
        p90_s=[round(one.arrival_p90_ms / 1000) - at_s for one in said],
        placed=[numbers[vehicle_id] for vehicle_id in seen],
        fix_s=[positions[vehicle_id].fix_ms // 1000 - at_s for vehicle_id in seen],
        lat=[positions[vehicle_id].lat for vehicle_id in seen],
        lon=[positions[vehicle_id].lon for vehicle_id in seen],
    )


def settle(
    samples: Sequence[Sample],
    events: Sequence[StopEvent],
    network: Network,
    lists: PlannedLists,
    *,
    from_ms: int,
    until_ms: int,
) -> list[Tally]:
    """Return what became certain from ``from_ms`` up to, not including, ``until_ms``, by service date and route.

    ``samples``: at least those from ``SAMPLES_BEFORE_MS`` before ``from_ms`` on; ``events``: from ``EVENTS_BEFORE_MS``
    before, so long after ``until_ms`` as is known. ``lists``: those of ``network``.
    """
    names = Names(network)
    samples = [one for one in samples if one.feed_hash == network.feed_hash]
    one_of = max((one.one_of for one in samples), default=1)
    said = joined([forecasts_of(one, names, one_of) for one in samples])
    said = said.take(said.arrival_ms >= from_ms - NEXT_ROUND_MS)  # earlier ones were counted
    of_watched = [event for event in events if watched(event.vehicle_id, one_of)]
    observed = observed_of(of_watched, network, names, lists)
    judged = judge(said, observed, Tracks(recording_of(samples), network, names))
    return _counted(judged, network, from_ms, until_ms)


def forecasts_of(sample: Sample, names: Names, one_of: int = 1) -> Forecasts:
    """Return the predictions of ``sample`` for one of ``one_of`` vehicles."""
    at_s = sample.at_s
    vehicle = np.array(sample.vehicle, dtype=np.int64)

    def moments(seconds: list[int]) -> Index:
        return 1000 * (at_s + np.array(seconds, dtype=np.int64))

    said = Forecasts(
        made_ms=np.full(len(vehicle), 1000 * at_s, dtype=np.int64),
        vehicle=names.vehicles(sample.vehicles)[vehicle],
        route=np.array(sample.route, dtype=np.int32),
        direction=np.array(sample.direction, dtype=np.int8),
        stop=np.array(sample.stop, dtype=np.int32),
        sequence=np.array(sample.sequence, dtype=np.int32),
        arrival_ms=moments(sample.arrival_s),
        p10_ms=moments(sample.p10_s).astype(np.float64),
        p90_ms=moments(sample.p90_s).astype(np.float64),
    )
    if one_of <= sample.one_of:
        return said
    return said.take(np.array([watched(name, one_of) for name in sample.vehicles], dtype=np.bool_)[vehicle])


def recording_of(samples: Sequence[Sample]) -> Recording:
    """Return where the vehicles were, a fix a minute at most: enough to say that one never came near a stop."""
    vehicles = [sample.vehicles[placed] for sample in samples for placed in sample.placed]
    fix_ms = np.array([1000 * (one.at_s + fix_s) for one in samples for fix_s in one.fix_s], dtype=np.int64)
    unknown = np.full(len(vehicles), np.nan)
    words = [""] * len(vehicles)
    return Recording(
        PositionBatch(
            vehicle_id=vehicles,
            fix_ms=fix_ms,
            received_ms=fix_ms,
            lat=np.array([lat for one in samples for lat in one.lat], dtype=np.float64),
            lon=np.array([lon for one in samples for lon in one.lon], dtype=np.float64),
            speed_mps=unknown,
            heading_deg=unknown,
            archived=np.zeros(len(vehicles), dtype=np.bool_),
            trip_id=words,
            block_id=words,
            route_id=words,
            direction_id=np.full(len(vehicles), -1, dtype=np.int8),
        )
    )


def observed_of(events: Sequence[StopEvent], network: Network, names: Names, lists: PlannedLists) -> Observed:
    """Return ``events`` as passings: the arrival, at the first stop of a run the departure (as ``follow`` has it)."""
    rows = []
    for event in events:
        stop = network.stop_by_id.get(event.stop_id)
        first = event.trip_stop_sequence == 1
        at_ms = event.departure_ms if first else event.arrival_ms
        if stop is None or at_ms is None:
            continue
        day = number(dt.date.fromisoformat(event.service_date))
        direction = str(event.direction_id) if event.direction_id >= 0 else ""
        ids = (event.vehicle_id, event.route_id, direction, event.trip_id)
        rows.append((*ids, stop, event.stop_sequence, at_ms, not first, day))
    table = pd.DataFrame(rows, columns=list(_COLUMNS)).astype(dict(_COLUMNS))
    return arranged(table, network, names, lists)


def _counted(judged: Judged, network: Network, from_ms: int, until_ms: int) -> list[Tally]:
    """Return what of ``judged`` became certain in this time: by the passing, or when none can come any more."""
    tallies = _Tallies(network)
    _count_told(tallies, judged, from_ms, until_ms)
    passings = judged.passings
    now = (passings.at_ms >= from_ms) & (passings.at_ms < until_ms)
    counted, under_way = to_foretell(passings)
    for name, which in (
        ("passings", counted),
        ("foretold", counted & judged.foretold),
        ("under_way", under_way),
        ("foretold_under_way", under_way & judged.foretold),
    ):
        tallies.add(name, passings.day[now & which], passings.route[now & which])
    said = judged.forecasts
    over_ms = said.arrival_ms + NEXT_ROUND_MS
    over = (over_ms >= from_ms) & (over_ms < until_ms)
    for name, outcome in (
        ("passed", Outcome.PASSED),
        ("phantoms", Outcome.PHANTOM),
        ("holes", Outcome.HOLE),
        ("unknown", Outcome.UNKNOWN),
    ):
        which = over & (judged.outcome == outcome)
        tallies.add(name, day_of(said.arrival_ms[which], network.time_zone), said.route[which])
    return tallies.all()


def _count_told(tallies: "_Tallies", judged: Judged, from_ms: int, until_ms: int) -> None:
    of = verdicts(judged)
    now = np.flatnonzero((of.actual_ms >= from_ms) & (of.actual_ms < until_ms))
    passing, said = of.passing[now], of.forecasts.take(now)
    width_s = of.width_s[now]
    bounded = np.isfinite(width_s)
    table = pd.DataFrame(
        {
            "day": judged.passings.day[passing],
            "route": judged.passings.route[passing],
            "bin": of.bin_of[now],
            "n": 1,
            "off_s": np.abs(of.error_s[now]),
            "late_s": of.error_s[now],
            "accurate": of.right[now].astype(np.int64),
            "bounded": bounded.astype(np.int64),
            "covered": (of.covered[now] & bounded).astype(np.int64),
            "width_s": np.where(bounded, width_s, 0.0),
        }
    )
    sums = table.groupby(["day", "route", "bin"], as_index=False).sum()
    for row in sums.to_dict("records"):
        told = msgspec.convert(row, Told, strict=False)
        tallies.tell(int(row["day"]), int(row["route"]), MBTA[int(row["bin"])].name, told)
    counted_down, risen = countdowns(passing, said.made_ms, said.arrival_ms)
    for name, which in (("countdowns", counted_down), ("rises", risen)):
        tallies.add(name, judged.passings.day[which], judged.passings.route[which])


class _Tallies:
    """Tallies being made."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._told: defaultdict[tuple[int, int], dict[str, Told]] = defaultdict(dict)
        self._counts: defaultdict[tuple[int, int], dict[str, int]] = defaultdict(dict)

    def add(self, name: str, day: Codes, route: Codes) -> None:
        """Count each (day, route) once more under ``name``; a route that the feed lacks is left out."""
        pairs, counts = np.unique(np.stack([day, route]), axis=1, return_counts=True)
        for one_day, one_route, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
            if one_route >= 0:
                self._counts[one_day, one_route][name] = count

    def tell(self, day: int, route: int, ahead: str, told: Told) -> None:
        """Note the sums of predictions so far ahead."""
        if route >= 0:
            self._told[day, route][ahead] = told

    def all(self) -> list[Tally]:
        """Return all tallies, in order of date and route."""
        return [
            Tally(
                service_date=date_of(day).isoformat(),
                route_id=self._network.routes.ids[route],
                told=self._told.get((day, route), {}),
                **self._counts.get((day, route), {}),
            )
            for day, route in sorted({*self._told, *self._counts})
        ]


def summed(tallies: Iterable[Tally]) -> Tally:
    """Return the sum of ``tallies``, of no date and route in particular: those of the first.

    Raises:
        ValueError: if there is none.
    """
    first, *others = tallies
    told = dict(first.told)
    counts = {name: getattr(first, name) for name in COUNTS}
    for other in others:
        for ahead, sums in other.told.items():
            told[ahead] = _plus(told[ahead], sums) if ahead in told else sums
        for name in COUNTS:
            counts[name] += getattr(other, name)
    return Tally(service_date=first.service_date, route_id=first.route_id, told=told, **counts)


def by_route(tallies: Iterable[Tally]) -> dict[str, Tally]:
    """Return the sum of ``tallies`` for each route, in order of id."""
    of: defaultdict[str, list[Tally]] = defaultdict(list)
    for tally in tallies:
        of[tally.route_id].append(tally)
    return {route_id: summed(of[route_id]) for route_id in sorted(of)}


def _plus(one: Told, other: Told) -> Told:
    return Told(**{name: getattr(one, name) + getattr(other, name) for name in Told.__struct_fields__})
