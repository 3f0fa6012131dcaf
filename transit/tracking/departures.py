"""When a vehicle that stands at its first stop will leave, judged by how others left there.

Three histories are kept for each place a route starts from: how late runs left, counted from their time or, if that was
later, from the vehicle's arrival; how long vehicles stood; and at which minutes of past days they left (``habits``). A
run that was told goes by its timetable; for one that was guessed, the history that proved best at that place is
believed. The time to come is the median of what is left of a history once the time already waited is taken away: a bus
that is overdue is expected a little later each minute, never "now" for ever. Little history leans on that of the whole
network, and that on a plain assumption.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.tracking.fleet import Fleet, LinkMemory
from transit.tracking.habits import Habits
from transit.tracking.learned import LearnedTimes
from transit.tracking.parameters import Parameters
from transit.tracking.plan import Plan

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BIN_S: Final = 30.0
LATE_FROM_S: Final = -600.0
LATE_BINS: Final = 80
STOOD_BINS: Final = 120
FADE: Final = 0.98  # a departure counts half after 34 more from the same place
PLACE_LEAN: Final = 8.0  # departures: the network's history counts as this many of the place's own
NETWORK_LEAN: Final = 10.0  # departures: the plain assumption counts as this many of the network's
QUANTILES: Final = (0.1, 0.5, 0.9)
TAIL_S: Final = 120.0  # beyond everything ever seen
SAME_RUN_MS: Final = 900_000  # no bus leaves the same place twice within this
BY_PLAN, BY_HABIT, BY_STAY = range(3)
ASSUMED_OFF_S: Final = (150.0, 120.0, 240.0)  # how far off each history is thought to be …
ASSUMED_WEIGHT: Final = 1.0  # … worth so many departures
STAY_LEAD: Final = 1.3  # by how much the stays must prove better: they know nothing of the hour and of who is next
OFF_MAX_S: Final = 900.0  # a departure missed by more is not missed any worse
STAY_USUAL_S: Final = 300.0  # a stay of this length counts once, a longer one more …
STAY_WEIGHT_MAX: Final = 6.0  # … up to this
STAY_LEAST_S: Final = 60.0  # a shorter stay proves nothing


class Departures:
    """Where runs start in one ``Network``; what was observed there is in ``LinkMemory``."""

    def __init__(self, network: Network, plan: Plan, parameters: Parameters) -> None:
        self._plan = plan
        patterns = network.patterns
        first = patterns.first[:-1].astype(np.int64)
        key = np.stack([patterns.route.astype(np.int64), patterns.stop[first].astype(np.int64)], axis=1)
        unique, of_pattern = np.unique(key, axis=0, return_inverse=True)
        self.of_pattern = of_pattern.reshape(-1).astype(np.int64)
        self.count = len(unique)
        ids, stop_ids = network.routes.ids, network.stops.ids
        self.number = {(str(ids[route]), str(stop_ids[stop])): i for i, (route, stop) in enumerate(unique.tolist())}
        self._habits = Habits(self.of_pattern, network.time_zone, parameters)
        late_s = LATE_FROM_S + BIN_S * (np.arange(LATE_BINS) + 0.5)
        late = np.where(
            late_s < 0, np.exp(late_s / 45.0), (1.0 + np.maximum(late_s, 0.0) / 90.0) ** -3
        )  # half leave in time
        stood = np.exp(-BIN_S * np.arange(STOOD_BINS) / parameters.layover_s)
        self._late, self._stood = late / late.sum(), stood / stood.sum()

    def note(self, fleet: Fleet, vehicle: Index, row: Index, stood_ms: Index, departure_ms: Index) -> None:
        """Note departures from first stops, to be learned."""
        fleet.left_ms[vehicle] = departure_ms
        planned_ms = self._plan.departure_ms(self._plan.runs(fleet, vehicle, 0), row)
        fleet.departures.add(
            when_ms=departure_ms,
            vehicle=vehicle,
            start=self.of_pattern[fleet.run_pattern[vehicle, 0]],
            late_s=(departure_ms - np.maximum(planned_ms, departure_ms - stood_ms)) / 1000,
            stood_s=stood_ms / 1000,
        )

    def note_unseen(self, fleet: Fleet, vehicle: Index, departure_ms: Index) -> None:
        """Note departures that follow from a passage further on, of vehicles that were not seen to leave."""
        new = np.abs(departure_ms - fleet.left_ms[vehicle]) > SAME_RUN_MS
        vehicle, departure_ms = vehicle[new], departure_ms[new]
        fleet.left_ms[vehicle] = departure_ms
        unknown = np.full(len(vehicle), np.nan)
        fleet.departures.add(
            when_ms=departure_ms,
            vehicle=vehicle,
            start=self.of_pattern[fleet.run_pattern[vehicle, 0]],
            late_s=unknown,
            stood_s=unknown,
        )

    def learn(self, memory: LinkMemory, lessons: dict[str, Floats]) -> None:
        """Take in departures that were noted."""
        start, when_ms = lessons["start"].astype(np.int64), lessons["when_ms"].astype(np.int64)
        late, stood = np.isfinite(lessons["late_s"]), np.isfinite(lessons["stood_s"])
        proof = np.flatnonzero(stood & (np.nan_to_num(lessons["stood_s"]) >= STAY_LEAST_S))
        self._prove(memory, start[proof], when_ms[proof], lessons["late_s"][proof], lessons["stood_s"][proof])
        _remember(memory.left_late, start[late], (lessons["late_s"][late] - LATE_FROM_S) / BIN_S)
        _remember(memory.left_after, start[stood], lessons["stood_s"][stood] / BIN_S)
        self._habits.note(memory, start, when_ms, stood)

    def watch(self, fleet: Fleet, since_ms: int, now_ms: int) -> None:
        """Keep what the time between these moments says of how habits are kept."""
        self._habits.watch(fleet, since_ms, now_ms)

    def adopt(self, learned: LearnedTimes) -> None:
        """Let ``learned`` say when departures recur."""
        self._habits.adopt(learned)

    def expect(self, fleet: Fleet, vehicle: Index, now_ms: int) -> Floats:
        """Return ``[3, n]``: p10, median and p90 of when each waiting vehicle leaves, epoch milliseconds."""
        memory = fleet.links
        start = self.of_pattern[fleet.run_pattern[vehicle, 0]]
        scheduled = self._plan.scheduled(fleet, vehicle, 0)
        planned_ms = fleet.run_start_ms[vehicle, 0].astype(np.float64)
        since_ms = np.where(fleet.entered_ms[vehicle] > 0, fleet.entered_ms[vehicle], now_ms).astype(np.float64)
        said = np.full((3, 3, len(vehicle)), np.nan)
        said[BY_PLAN] = self._by_plan(memory, start, np.maximum(planned_ms, since_ms), now_ms)
        said[BY_STAY] = self._by_stay(memory, start, since_ms, now_ms)
        free = np.flatnonzero(fleet.hint_trip[vehicle] < 0)
        said[BY_HABIT][:, free] = self._habits.expect(fleet, vehicle[free], now_ms)
        stays = _mass(memory.left_after, self._stood, start[free])
        by_hour = self._habits.weigh_stays(start[free], since_ms[free], stays, now_ms)
        said[BY_STAY][:, free] = np.where(np.isfinite(by_hour), by_hour, said[BY_STAY][:, free])
        off_s = (memory.departure_off + ASSUMED_WEIGHT * np.array(ASSUMED_OFF_S)[:, None]) / (
            memory.departure_proofs + ASSUMED_WEIGHT
        )
        off_s = np.where(np.isfinite(said[:, 1]), off_s[:, start], np.inf)
        off_s[BY_STAY] *= STAY_LEAD
        off_s[BY_PLAN, ~scheduled] = np.inf
        off_s[BY_PLAN, scheduled & (fleet.hint_trip[vehicle] >= 0)] = 0.0
        return np.asarray(said[off_s.argmin(axis=0), :, np.arange(len(vehicle))].T)

    def _prove(self, memory: LinkMemory, start: Index, when_ms: Index, late_s: Floats, stood_s: Floats) -> None:
        """Keep how far off each history would have been, half of the stay before each departure."""
        for one in range(len(start)):
            place, left_ms = start[one : one + 1], float(when_ms[one])
            asked_ms = int(left_ms - 500.0 * stood_s[one])
            since_ms, planned_ms = left_ms - 1000.0 * stood_s[one], left_ms - 1000.0 * late_s[one]
            weight = min(stood_s[one] / STAY_USUAL_S, STAY_WEIGHT_MAX)  # the longer it stood, the more boards showed it
            said_ms = (
                self._by_plan(memory, place, np.array([planned_ms]), asked_ms)[1, 0],
                self._habits.median_ms(memory, place, asked_ms),
                self._by_stay(memory, place, np.array([since_ms]), asked_ms)[1, 0],
            )
            for way, median_ms in enumerate(said_ms):
                if np.isfinite(median_ms):
                    memory.departure_off[way, place] *= FADE
                    memory.departure_proofs[way, place] *= FADE
                    memory.departure_off[way, place] += weight * min(abs(left_ms - median_ms) / 1000, OFF_MAX_S)
                    memory.departure_proofs[way, place] += weight

    def _by_plan(self, memory: LinkMemory, start: Index, planned_ms: Floats, now_ms: int) -> Floats:
        begin_ms = planned_ms + 1000.0 * LATE_FROM_S
        gone_s = np.maximum(np.nan_to_num((now_ms - begin_ms) / 1000), 0.0)
        return np.asarray(begin_ms + 1000.0 * _left(memory.left_late, self._late, start, gone_s))

    def _by_stay(self, memory: LinkMemory, start: Index, since_ms: Floats, now_ms: int) -> Floats:
        return np.asarray(since_ms + 1000.0 * _left(memory.left_after, self._stood, start, (now_ms - since_ms) / 1000))


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
