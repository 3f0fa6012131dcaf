"""How long a vehicle needs from one stop to the next: what was observed lately, with the timetable as its prior.

A link is an ordered pair of stops, shared by every pattern that runs it. Its time counts from arrival to arrival:
the dwell at the first stop is in it. Two memories: a quick one follows the traffic of the last hour, a slow one keeps
what is usual; the plan counts as a few observed runs, less where the feed's times are only a template.
"""

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.tracking.fleet import LinkMemory
from transit.tracking.parameters import Parameters

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


class Links:
    """The links of one ``Network``: immutable; what was observed on them is in ``LinkMemory``."""

    def __init__(self, network: Network, parameters: Parameters) -> None:
        self._parameters = parameters
        patterns = network.patterns
        first = patterns.first.astype(np.int64)
        pairs = np.stack([np.append(-1, patterns.stop[:-1]), patterns.stop], axis=1).astype(np.int64)
        pairs[first[:-1]] = -1
        unique, of_row = np.unique(pairs, axis=0, return_inverse=True)
        self.of_row = of_row.reshape(-1).astype(np.int64)  # of the link that ends at the row
        self.count = len(unique)
        length_m = np.diff(patterns.offset_m, prepend=0.0)
        length_m[first[:-1]] = 0.0
        self.length_m = np.maximum(length_m, 0.0)
        self._planned_s = self._typical_plan(network, first)

    def learn(self, memory: LinkMemory, row: Index, seconds: Floats, weight: Floats, when_ms: Index) -> None:
        """Take observed times of the links that end at ``row``; implausible ones say nothing."""
        parameters = self._parameters
        length_m = self.length_m[row]
        fastest = length_m / parameters.link_speed_max_mps
        slowest = 240.0 + length_m / parameters.link_speed_min_mps
        good = (seconds >= fastest) & (seconds <= slowest) & (seconds > 0)
        link, seconds, weight, when_ms = self.of_row[row[good]], seconds[good], weight[good], when_ms[good]
        if not len(link):
            return
        touched = np.unique(link)
        latest = np.zeros(self.count, dtype=np.int64)
        np.maximum.at(latest, link, when_ms)
        age_s = np.maximum(latest[touched] - memory.seen_ms[touched], 0) / 1000
        for total, count, half_life_s in (
            (memory.recent_sum_s, memory.recent_weight, parameters.observed_half_life_s),
            (memory.usual_sum_s, memory.usual_weight, parameters.usual_half_life_s),
        ):
            fade = 0.5 ** (age_s / half_life_s)
            total[touched] *= fade
            count[touched] *= fade
            np.add.at(total, link, seconds * weight)
            np.add.at(count, link, weight)
        memory.seen_ms[touched] = np.maximum(memory.seen_ms[touched], latest[touched])

    def expect(self, memory: LinkMemory, row: Index, planned_s: Floats, planned_weight: Floats, now_ms: int) -> Floats:
        """Return the expected time of the links that end at ``row``.

        ``planned_s`` is the run's own plan, NaN if it has none, and ``planned_weight`` what that is worth.
        """
        parameters = self._parameters
        link = self.of_row[row]
        known = memory.seen_ms[link] > 0
        age_s = np.maximum(now_ms - memory.seen_ms[link], 0) / 1000
        fade = np.where(known, 0.5 ** (age_s / parameters.observed_half_life_s), 0.0)
        usual_share = np.minimum(1.0, parameters.usual_weight_max / np.maximum(memory.usual_weight[link], 1e-9))
        plan_s = np.where(np.isfinite(planned_s), planned_s, self._planned_s[row])
        total = memory.recent_sum_s[link] * fade + memory.usual_sum_s[link] * usual_share + plan_s * planned_weight
        weight = memory.recent_weight[link] * fade + memory.usual_weight[link] * usual_share + planned_weight
        return np.asarray(total / weight, dtype=np.float64)

    def _typical_plan(self, network: Network, first: Index) -> Floats:
        """Return the planned time of each row's link by the pattern's first trip, or by distance at 5 m/s."""
        trips = network.trips
        plan = self.length_m / 5.0 + 5.0
        order = np.argsort(trips.pattern, kind="stable")
        patterns, position = np.unique(trips.pattern[order], return_index=True)
        for pattern, trip in zip(patterns.tolist(), order[position].tolist(), strict=True):
            arrival_s = trips.arrival_s[trips.rows(trip)].astype(np.float64)
            rows = slice(int(first[pattern]) + 1, int(first[pattern + 1]))
            steps = np.diff(arrival_s)
            plan[rows] = np.where(steps > 0, steps, np.minimum(plan[rows], 20.0))
        return plan
