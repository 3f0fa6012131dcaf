"""When a vehicle that stands at its first stop will leave, judged by how others left there.

Two histories are kept for each place a route starts from: how late runs left against their timetable, and how long
vehicles stood. A run that was told goes by its timetable; for one that was guessed, the history that says it more
exactly is believed. The time to come is the median of what is left of that history once the time already waited is
taken away: a bus that is overdue is expected a little later each minute, never "now" for ever. Little history leans on
that of the whole network, and that on a plain assumption.
"""

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.tracking.fleet import Fleet, LinkMemory
from transit.tracking.parameters import Parameters
from transit.tracking.plan import Plan

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

BIN_S = 30.0
LATE_FROM_S = -600.0
LATE_BINS = 80
STOOD_BINS = 120
FADE = 0.98  # a departure counts half after 34 more from the same place
PLACE_LEAN = 15.0  # departures: the network's history counts as this many of the place's own
NETWORK_LEAN = 10.0  # departures: the plain assumption counts as this many of the network's
QUANTILES = (0.1, 0.5, 0.9)
TAIL_S = 120.0  # beyond everything ever seen


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

    def expect(self, fleet: Fleet, vehicle: Index, now_ms: int) -> Floats:
        """Return ``[3, n]``: p10, median and p90 of when each waiting vehicle leaves, epoch milliseconds."""
        start = self.of_pattern[fleet.run_pattern[vehicle, 0]]
        scheduled = self._plan.scheduled(fleet, vehicle, 0)
        planned_ms = fleet.run_start_ms[vehicle, 0] + 1000.0 * LATE_FROM_S
        since_ms = np.where(fleet.entered_ms[vehicle] > 0, fleet.entered_ms[vehicle], now_ms)
        late = _left(fleet.links.left_late, self._late, start, (now_ms - planned_ms) / 1000)
        stood = _left(fleet.links.left_after, self._stood, start, (now_ms - since_ms) / 1000)
        by_plan, by_stand = planned_ms + 1000.0 * late, since_ms + 1000.0 * stood
        told = fleet.hint_trip[vehicle] >= 0
        return np.where(scheduled & (told | (late[2] - late[0] <= stood[2] - stood[0])), by_plan, by_stand)


def _remember(history: Floats, start: Index, place: Floats) -> None:
    last = history.shape[1] - 1
    for at, where in zip(start.tolist(), np.clip(place, 0, last).astype(np.int64).tolist(), strict=True):
        history[at] *= FADE
        history[at, where] += 1.0


def _left(history: Floats, assumed: Floats, start: Index, gone_s: Floats) -> Floats:
    """Return ``[3, n]`` quantiles, in seconds from the history's beginning, of what lies after ``gone_s``."""
    everywhere = history.sum(axis=0)
    everywhere = (everywhere + NETWORK_LEAN * assumed) / (everywhere.sum() + NETWORK_LEAN)
    mass = history[start] + PLACE_LEAN * everywhere
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
