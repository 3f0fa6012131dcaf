"""When a vehicle that stands at its first stop will leave, judged by how others left there.

Two histories are kept for each place a route starts from: how late runs left against their timetable, and how long
vehicles stood. A run that was told goes by its timetable; for one that was guessed, the history that says it more
exactly is believed. The time to come is the median of what is left of that history once the time already waited is
taken away: a bus that is overdue is expected a little later each minute, never "now" for ever. Little history leans on
that of the whole network, and that on a plain assumption.
"""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.tracking.fleet import Fleet, LinkMemory
from transit.tracking.learned import MINUTES, LearnedTimes, day_kind
from transit.tracking.parameters import Parameters
from transit.tracking.plan import Plan

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

BIN_S = 30.0
LATE_FROM_S = -600.0
LATE_BINS = 80
STOOD_BINS = 120
FADE = 0.98  # a departure counts half after 34 more from the same place
PLACE_LEAN = 8.0  # departures: the network's history counts as this many of the place's own
NETWORK_LEAN = 10.0  # departures: the plain assumption counts as this many of the network's
QUANTILES = (0.1, 0.5, 0.9)
AHEAD_BINS = 120
HABIT_FLOOR = 0.2  # of the mean rate within the hour: buses also leave when none left before
TAIL_S = 120.0  # beyond everything ever seen


class Departures:
    """Where runs start in one ``Network``; what was observed there is in ``LinkMemory``."""

    def __init__(self, network: Network, plan: Plan, parameters: Parameters) -> None:
        self._plan = plan
        self._zone = ZoneInfo(network.time_zone)
        self._learned: LearnedTimes | None = None
        patterns = network.patterns
        first = patterns.first[:-1].astype(np.int64)
        key = np.stack([patterns.route.astype(np.int64), patterns.stop[first].astype(np.int64)], axis=1)
        unique, of_pattern = np.unique(key, axis=0, return_inverse=True)
        self.of_pattern = of_pattern.reshape(-1).astype(np.int64)
        self.count = len(unique)
        ids, stop_ids = network.routes.ids, network.stops.ids
        self.number = {(str(ids[route]), str(stop_ids[stop])): i for i, (route, stop) in enumerate(unique.tolist())}
        late_s = LATE_FROM_S + BIN_S * (np.arange(LATE_BINS) + 0.5)
        late = np.where(
            late_s < 0, np.exp(late_s / 45.0), (1.0 + np.maximum(late_s, 0.0) / 90.0) ** -3
        )  # half leave in time
        stood = np.exp(-BIN_S * np.arange(STOOD_BINS) / parameters.layover_s)
        self._late, self._stood = late / late.sum(), stood / stood.sum()

    def note(self, fleet: Fleet, vehicle: Index, row: Index, stood_ms: Index, departure_ms: Index) -> None:
        """Note departures from first stops, to be learned."""
        fleet.departures.add(
            when_ms=departure_ms,
            vehicle=vehicle,
            start=self.of_pattern[fleet.run_pattern[vehicle, 0]],
            late_s=(departure_ms - self._plan.departure_ms(fleet, vehicle, 0, row)) / 1000,
            stood_s=stood_ms / 1000,
        )

    def learn(self, memory: LinkMemory, lessons: dict[str, Floats]) -> None:
        """Take in departures that were noted."""
        start = lessons["start"].astype(np.int64)
        late = np.isfinite(lessons["late_s"])
        _remember(memory.left_late, start[late], (lessons["late_s"][late] - LATE_FROM_S) / BIN_S)
        _remember(memory.left_after, start, lessons["stood_s"] / BIN_S)

    def adopt(self, learned: LearnedTimes) -> None:
        """Let ``learned`` say when departures recur."""
        self._learned = learned

    def expect(self, fleet: Fleet, vehicle: Index, now_ms: int) -> Floats:
        """Return ``[3, n]``: p10, median and p90 of when each waiting vehicle leaves, epoch milliseconds."""
        start = self.of_pattern[fleet.run_pattern[vehicle, 0]]
        scheduled = self._plan.scheduled(fleet, vehicle, 0)
        planned_ms = fleet.run_start_ms[vehicle, 0] + 1000.0 * LATE_FROM_S
        since_ms = np.where(fleet.entered_ms[vehicle] > 0, fleet.entered_ms[vehicle], now_ms)
        late = _left(fleet.links.left_late, self._late, start, (now_ms - planned_ms) / 1000)
        stood = _left(fleet.links.left_after, self._stood, start, (now_ms - since_ms) / 1000)
        by_plan, expected = planned_ms + 1000.0 * late, since_ms + 1000.0 * stood
        told = fleet.hint_trip[vehicle] >= 0
        free = np.flatnonzero(~told)
        if self._learned is not None and len(free):
            expected[:, free] = self._by_habit(fleet, self._learned, start[free], since_ms[free], now_ms)
        return np.where(scheduled & (told | _narrower(by_plan, expected)), by_plan, expected)

    def _by_habit(self, fleet: Fleet, learned: LearnedTimes, start: Index, since_ms: Floats, now_ms: int) -> Floats:
        """Return when vehicles leave, by how long others stood there and at which minutes of past days they left."""
        local = dt.datetime.fromtimestamp(now_ms / 1000, self._zone)
        minute = 60 * local.hour + local.minute + local.second / 60
        edges = np.minimum(minute + BIN_S / 60 * np.arange(AHEAD_BINS + 1), MINUTES)
        grid = np.arange(MINUTES + 1)
        habit = np.stack([np.interp(edges, grid, learned.left[day_kind(local.date()), at]) for at in start.tolist()])
        rate = np.diff(habit, axis=1)
        rate += HABIT_FLOOR * rate.mean(axis=1, keepdims=True) + 1e-6
        mass = _mass(fleet.links.left_after, self._stood, start)
        stood = ((now_ms - since_ms) / 1000 / BIN_S)[:, None] + np.arange(AHEAD_BINS)
        bins = np.minimum(stood, STOOD_BINS - 1).astype(np.int64)
        likely = rate * np.take_along_axis(mass, bins, axis=1)
        summed = np.cumsum(likely, axis=1)
        who = np.arange(len(start))
        found = []
        for quantile in QUANTILES:
            goal = quantile * summed[:, -1]
            at = np.minimum((summed < goal[:, None]).sum(axis=1), AHEAD_BINS - 1)
            inside = 1.0 - (summed[who, at] - goal) / np.maximum(likely[who, at], 1e-12)
            found.append(now_ms + 1000 * BIN_S * (at + np.clip(inside, 0.0, 1.0)))
        return np.stack(found)


def _narrower(one: Floats, other: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray(one[2] - one[0] < other[2] - other[0], dtype=np.bool_)


def _remember(history: Floats, start: Index, place: Floats) -> None:
    last = history.shape[1] - 1
    for at, where in zip(start.tolist(), np.clip(place, 0, last).astype(np.int64).tolist(), strict=True):
        history[at] *= FADE
        history[at, where] += 1.0


def _mass(history: Floats, assumed: Floats, start: Index) -> Floats:
    """Return the history of each start, leaning on that of the network and the plain assumption."""
    everywhere = history.sum(axis=0)
    everywhere = (everywhere + NETWORK_LEAN * assumed) / (everywhere.sum() + NETWORK_LEAN)
    return np.asarray(history[start] + PLACE_LEAN * everywhere, dtype=np.float64)


def _left(history: Floats, assumed: Floats, start: Index, gone_s: Floats) -> Floats:
    """Return ``[3, n]`` quantiles, in seconds from the history's beginning, of what lies after ``gone_s``."""
    mass = _mass(history, assumed, start)
    edges = np.concatenate([np.zeros((len(start), 1)), np.cumsum(mass, axis=1)], axis=1)
    bins = mass.shape[1]
    place = np.clip(gone_s / BIN_S, 0.0, bins - 1e-6)
    at = place.astype(np.int64)
    who = np.arange(len(start))
    gone = edges[who, at] + (place - at) * mass[who, at]
    found = []
    for quantile in QUANTILES:
        goal = gone + quantile * (edges[:, -1] - gone)
        bin_ = np.clip((edges <= goal[:, None]).sum(axis=1) - 1, 0, bins - 1)
        inside = (goal - edges[who, bin_]) / np.maximum(mass[who, bin_], 1e-12)
        found.append(BIN_S * (bin_ + np.clip(inside, 0.0, 1.0)))
    beyond = gone_s >= BIN_S * (bins - 1)
    return np.where(beyond, gone_s + TAIL_S, np.stack(found)) if len(start) else np.zeros((3, 0))
