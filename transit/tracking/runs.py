"""Which runs there are around now, which of them a vehicle can be on, and which are taken.

A run is one trip on one service day (``gtfs_data.calendar``). A vehicle on a frequency service has a run too, known by
the trip it follows and the moment it left its first stop.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gtfs_data.calendar import ServiceDay, day_zero_ms, local_date, service_day
from gtfs_data.network import Network
from transit.tracking.fit import Fit
from transit.tracking.parameters import Parameters

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: stop k of its trip is planned at ``zero_ms + 1000 * arrival_s[k]`` where ``scheduled``."""

    trip: int
    day: int  # proleptic ordinal of the service date
    zero_ms: int
    start_ms: int
    scheduled: bool
    pattern: int


@dataclass(frozen=True, slots=True, eq=False)
class _Day:
    """Runs of one service day by pattern, then by start."""

    plan: ServiceDay
    order: Index
    bounds: Index  # of each pattern in ``order``


class RunBook:
    """Runs of yesterday, today and tomorrow, kept as the days go by."""

    def __init__(self, network: Network, fit: Fit, parameters: Parameters) -> None:
        self._network = network
        self._fit, self._parameters = fit, parameters
        self._days: dict[int, _Day] = {}
        self._trips = network.trips
        unscheduled = np.flatnonzero(~network.trips.scheduled)
        self._templates: dict[int, list[int]] = {}
        for trip in unscheduled.tolist():
            self._templates.setdefault(int(network.trips.pattern[trip]), []).append(trip)

    def advance(self, now_ms: int) -> None:
        """Keep the service days around ``now_ms``."""
        today = local_date(now_ms, self._network.time_zone)
        wanted = {(today + dt.timedelta(days=d)).toordinal() for d in (-1, 0, 1)}
        if wanted <= self._days.keys():
            return
        for ordinal in set(self._days) - wanted:
            del self._days[ordinal]
        for ordinal in sorted(wanted - self._days.keys()):
            plan = service_day(self._network, dt.date.fromordinal(ordinal))
            pattern = self._trips.pattern[plan.trip]
            order = np.lexsort((plan.start_ms, pattern)).astype(np.int64)
            bounds = np.searchsorted(pattern[order], np.arange(len(self._network.patterns) + 1))
            self._days[ordinal] = _Day(plan, order, bounds)
        self._fit.renew(day.plan for day in self._days.values())

    def of_trip(self, trip: int, row_in_pattern: int, now_ms: int) -> Run:
        """Return the run of ``trip`` whose planned time at the row is nearest ``now_ms``.

        A day on which it does not run is believed only if that is hours nearer: after midnight a told trip is
        yesterday's, whatever the calendar says.
        """
        trips = self._trips
        pattern = int(trips.pattern[trip])
        if not trips.scheduled[trip]:
            return self.headway(pattern, now_ms, trip=trip)
        planned_s = int(trips.departure_s[trips.first[trip] + row_in_pattern])
        best: tuple[float, Run] | None = None
        for ordinal, day in sorted(self._days.items()):
            runs = bool(self._network.services.on(dt.date.fromordinal(ordinal))[trips.service[trip]])
            shift_s = self._nearest_shift(day, trip, now_ms - 1000 * planned_s)
            zero_ms = day.plan.zero_ms + 1000 * shift_s
            rank = abs(now_ms - zero_ms - 1000.0 * planned_s) + 1000.0 * self._parameters.no_service_s * (not runs)
            if best is None or rank < best[0]:
                start_ms = zero_ms + 1000 * int(trips.departure_s[trips.first[trip]])
                run = Run(trip=trip, day=ordinal, zero_ms=zero_ms, start_ms=start_ms, scheduled=True, pattern=pattern)
                best = (rank, run)
        if best is None:
            raise RuntimeError("advance must be called before of_trip")
        return best[1]

    def headway(self, pattern: int, start_ms: int, *, trip: int | None = None) -> Run:
        """Return a run of a frequency service that leaves at ``start_ms``; without template, of no trip at all."""
        if trip is None:
            trip = self._template_at(pattern, start_ms)
        date = local_date(start_ms, self._network.time_zone)
        day = date.toordinal()
        zero_ms = day_zero_ms(date, self._network.time_zone)
        if trip >= 0:
            zero_ms = start_ms - 1000 * int(self._trips.departure_s[self._trips.first[trip]])
        return Run(trip=trip, day=day, zero_ms=zero_ms, start_ms=start_ms, scheduled=False, pattern=pattern)

    def scheduled(
        self, pattern: int, share: float, row: int, now_ms: int, taken: Callable[[int, int], bool], *, waiting: bool
    ) -> Run | None:
        """Return the run of ``pattern`` that best explains a vehicle ``share`` of the way from stop ``row`` on.

        ``taken`` says of a trip on the service day that began at a moment whether it is not free.

        A waiting vehicle (at the first stop) takes the next departure; one under way takes the run whose plan is
        nearest, earliness being less likely than lateness. None if no run is plausible.
        """
        parameters, trips = self._parameters, self._trips
        best_cost, best = np.inf, None
        for ordinal, day in self._days.items():
            candidates = day.order[day.bounds[pattern] : day.bounds[pattern + 1]]
            if not len(candidates):
                continue
            plan = day.plan
            start_ms = plan.start_ms[candidates]
            longest_ms = int((plan.end_ms[candidates] - start_ms).max())
            near = candidates[
                (start_ms > now_ms - longest_ms - 1000 * parameters.run_late_max_s)
                & (start_ms < now_ms + 1000 * parameters.run_early_max_s)
            ]
            if not len(near):
                continue
            trip = plan.trip[near]
            at = trips.first[trip] + row
            after = np.minimum(at + 1, trips.first[trip + 1] - 1)
            planned_s = trips.departure_s[at] + share * (trips.arrival_s[after] - trips.departure_s[at])
            late_s = (now_ms - plan.zero_ms) / 1000 - plan.shift_s[near] - planned_s
            cost = np.where(late_s >= 0, late_s, -late_s * (1.0 if waiting else parameters.early_weight))
            cost[(late_s > parameters.run_late_max_s) | (late_s < -parameters.run_early_max_s)] = np.inf
            for i in np.argsort(cost, kind="stable").tolist():
                if cost[i] >= best_cost:
                    break
                run, chosen = int(near[i]), int(trip[i])
                shift_s = int(plan.shift_s[run])
                if taken(chosen, plan.zero_ms + 1000 * shift_s):
                    continue
                best_cost = float(cost[i])
                best = Run(
                    trip=chosen,
                    day=ordinal,
                    zero_ms=plan.zero_ms + 1000 * shift_s,
                    start_ms=int(plan.start_ms[run]),
                    scheduled=True,
                    pattern=pattern,
                )
                break
        return best

    def next_of_block(self, block: int, day: int, after_ms: int) -> Run | None:
        """Return the first run of ``block`` on service day ``day`` that starts at or after ``after_ms``."""
        kept = self._days.get(day)
        if kept is None or block < 0:
            return None
        of_block = np.flatnonzero((self._trips.block[kept.plan.trip] == block) & (kept.plan.start_ms >= after_ms))
        if not len(of_block):
            return None
        run = int(of_block[0])
        trip = int(kept.plan.trip[run])
        return Run(
            trip=trip,
            day=day,
            zero_ms=kept.plan.zero_ms + 1000 * int(kept.plan.shift_s[run]),
            start_ms=int(kept.plan.start_ms[run]),
            scheduled=True,
            pattern=int(self._trips.pattern[trip]),
        )

    def block_at(self, block: int, now_ms: int) -> Run | None:
        """Return the run of ``block`` under way at ``now_ms``, else its next, else its last."""
        best: Run | None = None
        for ordinal, kept in sorted(self._days.items()):
            for run in np.flatnonzero(self._trips.block[kept.plan.trip] == block).tolist():
                trip = int(kept.plan.trip[run])
                candidate = Run(
                    trip=trip,
                    day=ordinal,
                    zero_ms=kept.plan.zero_ms + 1000 * int(kept.plan.shift_s[run]),
                    start_ms=int(kept.plan.start_ms[run]),
                    scheduled=True,
                    pattern=int(self._trips.pattern[trip]),
                )
                if int(kept.plan.end_ms[run]) >= now_ms:
                    if best is None or abs(candidate.start_ms - now_ms) < abs(best.start_ms - now_ms):
                        return candidate
                    return best
                best = candidate
        return best

    def serves(self, pattern: int) -> bool:
        """Return whether ``pattern`` is a frequency service without exact times."""
        return pattern in self._templates

    def _nearest_shift(self, day: _Day, trip: int, zero_ms: int) -> int:
        mine = np.flatnonzero(day.plan.trip == trip)
        if not len(mine):
            return 0
        shifts = day.plan.shift_s[mine]
        return int(shifts[np.argmin(np.abs(day.plan.zero_ms + 1000 * shifts.astype(np.int64) - zero_ms))])

    def _template_at(self, pattern: int, now_ms: int) -> int:
        templates = self._templates.get(pattern)
        if not templates:
            return -1
        for day in self._days.values():
            for window in day.plan.headways:
                if window.trip in templates and window.start_ms <= now_ms < window.end_ms:
                    return int(window.trip)
        return templates[0]
