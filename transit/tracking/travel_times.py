"""How long a vehicle needs from one stop to the next, at this moment.

A link is an ordered pair of stops, shared by every pattern that runs it. Its time counts from arrival to arrival: the
dwell at the first stop is in it. What past days taught (``learned``) or else the plan is the base; what vehicles needed
lately, against that base, raises or lowers it: on the whole network, on the line, on the link itself, each level
leaning on the one before as far as it has seen little (empirical Bayes shrinkage).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.tracking.fleet import LinkMemory
from transit.tracking.learned import LearnedTimes, LinkKey
from transit.tracking.parameters import Parameters

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """What holds of each link now."""

    base_s: Floats  # sum of weighted seconds, of past days and since
    base_weight: Floats
    plan_trust: Floats  # 1 where the plan still counts, 0 where the past has taken its place
    plan_pace: Floats  # seconds driven per second planned
    ratio: Floats  # now against base
    dwell_s: Floats  # sum of weighted seconds
    dwell_weight: Floats
    square: Floats  # sum of weighted squared deviations of single runs
    square_weight: Floats


class Links:
    """The links of one ``Network``: immutable; what was observed on them is in ``LinkMemory``."""

    def __init__(self, network: Network, parameters: Parameters) -> None:
        self._parameters = parameters
        patterns = network.patterns
        first = patterns.first.astype(np.int64)
        pairs = np.stack([np.append(-1, patterns.stop[:-1]), patterns.stop], axis=1).astype(np.int64)
        pairs[first[:-1]] = -1
        unique, of_row, usage = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
        self.of_row = of_row.reshape(-1).astype(np.int64)  # of the link that ends at the row
        self.count = len(unique)
        self.routes = len(network.routes.ids)
        length_m = np.diff(patterns.offset_m, prepend=0.0)
        length_m[first[:-1]] = 0.0
        self.length_m = np.maximum(length_m, 0.0)
        self.begins = np.zeros(len(self.of_row), dtype=np.bool_)
        self.begins[first[:-1]] = True  # rows of first stops: no link of the pattern ends there
        self.planned_s = self._typical_plan(network, first)
        self.link_planned_s = np.bincount(self.of_row, self.planned_s, minlength=self.count) / usage
        self.route_of_row = patterns.route[network.pattern_of_row].astype(np.int64)
        self.route_of_link = np.zeros(self.count, dtype=np.int64)
        self.route_of_link[self.of_row] = self.route_of_row
        ids = network.stops.ids
        self.number: dict[LinkKey, int] = {
            (ids[a], ids[b]): i for i, (a, b) in enumerate(unique.tolist()) if a >= 0 and b >= 0
        }

    def rates(self, memory: LinkMemory, learned_s: Floats | None, learned: LearnedTimes | None, now_ms: int) -> Floats:
        """Return the columns of ``Rates`` at ``now_ms``; ``learned_s``: the past's seconds for this hour."""
        parameters = self._parameters
        city = _pooled(memory.city, memory.city_ms, now_ms, parameters.city_half_life_s, 1.0, parameters.city_lean_s)
        line = _pooled(memory.line, memory.line_ms, now_ms, parameters.line_half_life_s, city, parameters.line_lean_s)
        link = _pooled(
            *(memory.recent, memory.recent_ms, now_ms, parameters.link_half_life_s),
            *(line[self.route_of_link], parameters.link_lean_s),
        )
        base_s, base_weight = memory.since[0].copy(), memory.since[1].copy()
        dwell_s, dwell_weight = memory.dwell[0].copy(), memory.dwell[1].copy()
        square, square_weight = memory.square[0].copy(), memory.square[1].copy()
        plan_trust = np.ones(self.count)
        if learned is not None and learned_s is not None:
            taught = np.isfinite(learned_s)
            weight = np.where(taught, np.minimum(learned.weight, parameters.learned_weight_max), 0.0)
            # today's runs are of other hours: they count little beside what this hour is known to take
            little = np.where(taught, parameters.since_share / (weight + parameters.since_share), 1.0)
            base_s, base_weight = little * base_s, little * base_weight
            base_s += weight * np.nan_to_num(learned_s)
            base_weight += weight
            plan_trust[taught] = 0.0
            for total, count, value in (
                (dwell_s, dwell_weight, learned.dwell_s),
                (square, square_weight, learned.deviation_s**2),
            ):
                known = np.isfinite(value)
                total[known] += (weight * np.nan_to_num(value))[known]
                count[known] += weight[known]
        everywhere = memory.plan.sum(axis=1)
        pace = (everywhere[0] + parameters.line_lean_s) / (everywhere[1] + parameters.line_lean_s)
        pace = (memory.plan[0] + parameters.line_lean_s * pace) / (memory.plan[1] + parameters.line_lean_s)
        pace = pace[self.route_of_link]
        return np.stack([base_s, base_weight, plan_trust, pace, link, dwell_s, dwell_weight, square, square_weight])

    def base(self, rates: Rates, row: Index, planned_s: Floats, trust: Floats) -> Floats:
        """Return the seconds of the links that end at ``row`` on an ordinary day.

        ``planned_s`` is the run's own plan, NaN if it has none, and ``trust`` how many observed runs that is worth.
        """
        link = self.of_row[row]
        without = np.flatnonzero(~np.isfinite(planned_s))
        plan_s = planned_s.copy()
        plan_s[without] = self.planned_s[row[without]]
        plan_s *= rates.plan_pace[link]
        weight = trust * rates.plan_trust[link]
        return np.asarray((rates.base_s[link] + weight * plan_s) / (rates.base_weight[link] + weight), dtype=np.float64)

    def dwell(self, rates: Rates, row: Index, seconds: Floats) -> Floats:
        """Return how much of ``seconds``, the time of the link that ends at ``row``, is dwell at its first stop."""
        parameters = self._parameters
        link = self.of_row[row]
        guess_s = np.minimum(parameters.dwell_share * seconds, parameters.dwell_max_s)
        dwell_s = (rates.dwell_s[link] + parameters.dwell_weight * guess_s) / (
            rates.dwell_weight[link] + parameters.dwell_weight
        )
        return np.asarray(np.minimum(dwell_s, 0.8 * seconds), dtype=np.float64)

    def variance(self, rates: Rates, row: Index, seconds: Floats) -> Floats:
        """Return the variance, seconds squared, of single runs over the links that end at ``row``."""
        parameters = self._parameters
        link = self.of_row[row]
        guess = (parameters.link_spread_share * seconds + parameters.link_spread_s) ** 2
        return np.asarray(
            (rates.square[link] + parameters.link_spread_weight * guess)
            / (rates.square_weight[link] + parameters.link_spread_weight),
            dtype=np.float64,
        )

    def learn(self, memory: LinkMemory, lessons: dict[str, Floats]) -> None:
        """Take in passages that were noted (``lessons.PASSAGE``)."""
        parameters = self._parameters
        row = lessons["row"].astype(np.int64)
        early, waited = lessons["early"] > 0, lessons["waited"] > 0
        add_pairs(memory.early, row[early], np.stack([lessons["waited"][early], lessons["early"][early]]))
        self._learn_recovery(memory, lessons)
        # where a bus waits for its time, its drive is not what the link takes
        free = ~(waited & (lessons["seconds"] > 1.5 * lessons["base_s"]))
        row, seconds, base_s = row[free], lessons["seconds"][free], lessons["base_s"][free]
        expected_s, weight = lessons["expected_s"][free], lessons["weight"][free]
        planned_s, dwell_s = lessons["planned_s"][free], lessons["dwell_s"][free]
        when_ms = lessons["when_ms"][free].astype(np.int64)
        link, route = self.of_row[row], self.route_of_row[row]
        tame = np.clip(seconds, 0.25 * expected_s, parameters.link_outlier * expected_s + 30.0)
        sums = np.stack([weight * tame, weight * base_s])
        _add(memory.recent, memory.recent_ms, link, sums, when_ms, parameters.link_half_life_s)
        _add(memory.line, memory.line_ms, route, sums, when_ms, parameters.line_half_life_s)
        nothing = np.zeros(len(link), dtype=np.int64)
        _add(memory.city, memory.city_ms, nothing, sums, when_ms, parameters.city_half_life_s)
        own = np.stack([weight * np.clip(seconds, 0.25 * base_s, 4.0 * base_s + 60.0), weight])
        _add(memory.since, memory.since_ms, link, own, when_ms, parameters.usual_half_life_s)
        add_pairs(memory.square, link, np.stack([weight * (tame - expected_s) ** 2, weight]))
        planned, dwelt = np.isfinite(planned_s), np.isfinite(dwell_s)
        add_pairs(memory.plan, route[planned], np.stack([weight * tame, weight * planned_s])[:, planned])
        add_pairs(memory.dwell, link[dwelt], np.stack([weight * dwell_s, weight])[:, dwelt])

    def _learn_recovery(self, memory: LinkMemory, lessons: dict[str, Floats]) -> None:
        """Regress what links took beyond the expected on how far the vehicle was off its plan some minutes before."""
        limit_s = self._parameters.recovery_max_s
        known = np.isfinite(lessons["off_s"])
        off_s = np.clip(lessons["off_s"][known], -limit_s, limit_s)
        base_s = lessons["base_s"][known]
        surplus_s = (lessons["seconds"] - lessons["expected_s"])[known]
        x, y = off_s * base_s, np.clip(surplus_s, -0.8 * base_s, np.maximum(np.abs(off_s), base_s))
        at = 4 * lessons["told"][known].astype(np.int64) + 2 * (off_s < 0)
        np.add.at(memory.recovery, at, x * y)
        np.add.at(memory.recovery, at + 1, x * x)

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


def add_pairs(sums: Floats, index: Index, values: Floats) -> None:
    """Add ``values`` [2, n] to ``sums`` [2, …] at ``index``, repeated ones each."""
    for one, added in zip(sums, values, strict=True):
        np.add.at(one, index, added)


def _pooled(
    sums: Floats, seen_ms: Index, now_ms: int, half_life_s: float, parent: Floats | float, lean_s: float
) -> Floats:
    """Return observed against expected, leaning on ``parent`` as if that were ``lean_s`` seconds observed."""
    fade = 0.5 ** (np.maximum(now_ms - seen_ms, 0) / (1000 * half_life_s))
    return np.asarray((sums[0] * fade + lean_s * parent) / (sums[1] * fade + lean_s), dtype=np.float64)


def _add(sums: Floats, seen_ms: Index, index: Index, values: Floats, when_ms: Index, half_life_s: float) -> None:
    """Add ``values`` [2, n] to ``sums`` [2, …] at ``index``; what was there fades by the time since it was seen."""
    latest = np.zeros(len(seen_ms), dtype=np.int64)
    np.maximum.at(latest, index, when_ms)
    touched = np.unique(index)
    age_s = np.maximum(latest[touched] - seen_ms[touched], 0) / 1000
    sums[:, touched] *= 0.5 ** (age_s / half_life_s)
    add_pairs(sums, index, values)
    seen_ms[touched] = np.maximum(seen_ms[touched], latest[touched])
