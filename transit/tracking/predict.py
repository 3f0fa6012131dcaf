"""Arrivals at the stops ahead, of the run under way and the next one of the block, each with a median and p10–p90.

A vehicle's own place and the running times of the links ahead carry its delay forward; at timing points and terminals
it does not leave before its time. Pure arithmetic on ragged rows: one row per (vehicle, leg, stop ahead).
"""

import numpy as np
import numpy.typing as npt

from transit.tracking.departures import Departures
from transit.tracking.fleet import LEGS, Fleet
from transit.tracking.geometry import Geometry
from transit.tracking.parameters import Parameters
from transit.tracking.plan import Plan, Runs
from transit.tracking.predictions import Predictions, join
from transit.tracking.ragged import Owners
from transit.tracking.reroute import Reroute
from transit.tracking.timetable_weight import weigh_timetable
from transit.tracking.travel_times import Links, Rates

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

P10_TO_P90_SIGMAS = 2.56
GROWN_MAX = 16.0  # exponent: of a deviation nothing is left after that, and sums stay exact


class Predictor:
    """Predicts for any set of vehicles; holds nothing but the network."""

    def __init__(
        self, geometry: Geometry, links: Links, plan: Plan, departures: Departures, parameters: Parameters
    ) -> None:
        self._geometry, self._links, self._plan = geometry, links, plan
        self._departures, self._parameters = departures, parameters

    def predict(self, fleet: Fleet, rates: Rates, reroute: Reroute, vehicle: Index, now_ms: int) -> Predictions:
        """Return what is expected of ``vehicle``; nothing for those that are not on a run, silent or stuck."""
        stretch = reroute.stretch_of(fleet, vehicle, now_ms, self._parameters)
        at = np.flatnonzero(self._live(fleet, vehicle, stretch, now_ms))
        live, stretch = vehicle[at], stretch[at]
        start_ms, sigma_ms = self._start(fleet, live, now_ms)
        led = np.flatnonzero(stretch >= 0)
        if len(led):
            start_ms[led] = reroute.start(fleet, live[led], stretch[led], now_ms)
        sure = P10_TO_P90_SIGMAS * sigma_ms <= 1000.0 * self._parameters.departure_within_s
        sure |= fleet.hint_trip[live] >= 0  # a run that is told has a timetable to go by …
        sure &= ~self._overdue(fleet, live, now_ms)  # … for as long as that may still be so
        live = live[sure]
        offset_m = np.where(stretch >= 0, fleet.line_m[vehicle[at]], fleet.offset_m[vehicle[at]])[sure]
        first_leg = self._leg(fleet, rates, reroute, live, 0, (offset_m, start_ms[sure], sigma_ms[sure]), now_ms)
        first_leg = _behind(first_leg, reroute, live, stretch[sure], self._geometry)
        ends_ms = np.zeros(len(fleet))
        ends_ms[first_leg.vehicle] = first_leg.arrival_ms  # in order of row: the last stop stays
        following = live[(fleet.run_pattern[live, 1] >= 0) & (ends_ms[live] > 0)]
        if not len(following):
            return _within(first_leg, now_ms, self._parameters)
        start = (np.zeros(len(following)), *self._next_start(fleet, following, ends_ms))
        second_leg = self._leg(fleet, rates, reroute, following, 1, start, now_ms)
        return _within(join(first_leg, second_leg), now_ms, self._parameters)

    def _live(self, fleet: Fleet, vehicle: Index, stretch: Index, now_ms: int) -> Bools:
        parameters = self._parameters
        heard = now_ms - fleet.fix_ms[vehicle] <= parameters.stale_s * 1000
        stuck = (now_ms - fleet.moved_ms[vehicle] > parameters.delayed_s * 1000) & (fleet.departed[vehicle] > 0)
        on_line = (fleet.slot[vehicle] >= 0) & (fleet.bad_fixes[vehicle] < parameters.bad_fixes_off_route)
        return np.asarray((on_line | (stretch >= 0)) & heard & ~stuck, dtype=np.bool_)

    def _overdue(self, fleet: Fleet, vehicle: Index, now_ms: int) -> Bools:
        """Return which vehicles wait so long after their time, or their arrival, that none knows what for."""
        due_ms = np.maximum(fleet.run_start_ms[vehicle, 0], fleet.entered_ms[vehicle])
        late = now_ms - due_ms > 1000 * self._parameters.departure_overdue_s
        waits = (fleet.departed[vehicle] == 0) & self._plan.scheduled(fleet, vehicle, 0)
        return np.asarray(waits & late, dtype=np.bool_)

    def _leg(
        self,
        fleet: Fleet,
        rates: Rates,
        reroute: Reroute,
        vehicle: Index,
        leg: int,
        start: tuple[Floats, Floats, Floats],
        now_ms: int,
    ) -> Predictions:
        parameters, plan = self._parameters, self._plan
        waiting, first, ahead, sizes = self._ahead(fleet, vehicle, leg, start[0])
        some = np.flatnonzero(sizes)  # the others are at their last stop
        vehicle, first, ahead, waiting = vehicle[some], first[some], ahead[some], waiting[some]
        offset_m, start_ms, start_sigma_ms = (column[some] for column in start)
        owners = Owners.of(sizes[some])
        row, who = owners.index(ahead), owners.each(vehicle)
        runs = plan.runs(fleet, vehicle, leg)
        trust, runs = owners.each(plan.trust(runs)), runs.each(owners)
        inner = row > runs.first
        ordinary_s = self._links.base(rates, row, plan.step_s(runs, row), trust)
        step_s = np.where(inner, ordinary_s * rates.ratio[self._links.of_row[row]], 0.0)
        manner, pace = self._pace(fleet, vehicle, now_ms)
        lasts = np.exp(-owners.sum(step_s) / parameters.pace_ahead_s)
        step_s *= owners.each(manner) + owners.each(pace - manner) * lasts
        under_way = (ahead > first) & ~waiting
        at = owners.begin[under_way]
        step_s[at] = self._left_of_link(fleet, rates, who[at], row[at], step_s[at])
        if leg == 0:
            held_s = self._held_up(fleet, vehicle)
            step_s[at] += held_s[under_way]
            start_sigma_ms = np.hypot(start_sigma_ms, 1000.0 * held_s)
        led = np.zeros(len(row), dtype=np.bool_)
        if len(reroute):
            led = reroute.before(row, owners.each(offset_m), parameters)
            step_s += np.where(led, reroute.extra_s[row], 0.0)
        step_s = np.maximum(step_s, 0.0)
        planned_ms = plan.arrival_ms(runs, row)
        ready = self._recovered(fleet, vehicle, owners, owners.sum(step_s), start_ms, planned_ms)
        start_each_ms = owners.each(start_ms)
        held_ms = self._not_before(fleet, owners.each(fleet.hint_trip[vehicle] >= 0), runs, row, planned_ms)
        slack = owners.max(held_ms - start_each_ms - 1000.0 * ready)
        arrival = start_each_ms + 1000.0 * ready + np.maximum(slack, 0.0)
        overdue_ms = now_ms - 1000.0 * parameters.due_s
        plain = arrival = np.maximum(arrival, overdue_ms)
        arrival = weigh_timetable(fleet, who, self._links.route_of_row[row], arrival, planned_ms, now_ms)
        arrival = np.maximum(owners.max(arrival), overdue_ms)
        variance = np.where(inner, self._links.variance(rates, row, step_s), 0.0)
        if len(reroute):
            variance += np.where(led, reroute.variance_s2[row], 0.0)
        sigma_ms = owners.each(start_sigma_ms)
        spread_ms = self._spread(arrival, owners.sum(variance), owners.each(fleet.fix_ms[vehicle]), now_ms, sigma_ms)
        made = Predictions(
            who,
            np.full(len(row), leg, dtype=np.int64),
            row,
            row - runs.first,
            *(np.rint(arrival).astype(np.int64),) * 3,
            np.rint(plain).astype(np.int64),
            spread_ms,
            np.where(np.isfinite(planned_ms), np.rint(np.nan_to_num(planned_ms)), 0).astype(np.int64),
            owners.each(waiting),
        )
        missed = led & reroute.missed[row]
        return made.pick(np.flatnonzero(~missed)) if missed.any() else made

    def _ahead(self, fleet: Fleet, vehicle: Index, leg: int, offset_m: Floats) -> tuple[Bools, Index, Index, Index]:
        """Return who waits at the first stop, that stop, the first one ahead, and how many are predicted from there."""
        geometry, parameters, pattern = self._geometry, self._parameters, fleet.run_pattern[vehicle, leg]
        first, last = geometry.first[pattern], geometry.first[pattern + 1]
        waiting = fleet.departed[vehicle] == 0 if leg == 0 else np.ones(len(vehicle), dtype=np.bool_)
        behind = np.maximum(geometry.row_at(pattern, offset_m - 0.5 * parameters.stop_zone_m), first)
        ahead = np.where(waiting, first, np.minimum(behind + 1, last))
        return waiting, first, ahead, np.minimum(last - ahead, parameters.horizon_rows)

    def _recovered(
        self, fleet: Fleet, vehicle: Index, owners: Owners, ready: Floats, start_ms: Floats, planned_ms: Floats
    ) -> Floats:
        """Return ``ready``, seconds from the start, less what a vehicle gives up of its lead or makes up of its delay.

        The deviation from the plan decays exponentially with time, at rates learned from the passages seen.
        """
        parameters = self._parameters
        late_s = (owners.each(start_ms) - planned_ms) / 1000 + ready
        timed = np.isfinite(late_s)
        if not timed.any():
            return ready
        first_late_s = late_s[owners.begin]
        sums = fleet.links.recovery.reshape(2, 2, 2)
        prior = np.array([[0.0, 0.0], [parameters.recovery_early, parameters.recovery_late]])
        rate = (sums[:, :, 0] + parameters.recovery_weight * prior) / (sums[:, :, 1] + parameters.recovery_weight)
        told = (fleet.hint_trip[vehicle] >= 0).astype(np.int64)
        late = (first_late_s > 0).astype(np.int64)
        pull = owners.each(np.clip(rate[told, late], 0.0, parameters.recovery_rate_max))
        grown = np.exp(np.minimum(pull * ready, GROWN_MAX))
        near_s = np.clip(first_late_s, -parameters.recovery_max_s, parameters.recovery_max_s)
        beyond_s = owners.each(first_late_s - near_s)  # what no plan explains is not made up
        step = np.diff(late_s, prepend=0.0)
        step[owners.begin] = near_s
        kept_s = owners.sum(np.where(timed, step * grown, 0.0)) / grown
        return np.where(timed, ready + kept_s + beyond_s - late_s, ready)

    def _pace(self, fleet: Fleet, vehicle: Index, now_ms: int) -> tuple[Floats, Floats]:
        """Return how much slower than others each vehicle drives all day and just now, as far as that is believed."""
        parameters = self._parameters
        age_s = np.maximum(now_ms - fleet.paced_ms[vehicle], 0) / 1000
        believed = np.ones(len(vehicle))
        found = []
        for driven, expected, half_life_s, lean_s in (
            (fleet.manner_s, fleet.manner_base_s, parameters.manner_half_life_s, parameters.manner_lean_s),
            (fleet.pace_s, fleet.pace_base_s, parameters.pace_half_life_s, parameters.pace_lean_s),
        ):
            fade = 0.5 ** (age_s / half_life_s)
            believed = (driven[vehicle] * fade + lean_s * believed) / (expected[vehicle] * fade + lean_s)
            found.append(believed)
        return found[0], found[1]

    def _left_of_link(self, fleet: Fleet, rates: Rates, vehicle: Index, row: Index, seconds: Floats) -> Floats:
        """Return what is left of ``seconds``, the time of the link to ``row``: dwell while it stands, and the drive."""
        geometry = self._geometry
        dwell_s = self._links.dwell(rates, row, seconds)
        to_m, from_m = geometry.offset_m[row], geometry.offset_m[row - 1]
        share = np.clip((to_m - fleet.offset_m[vehicle]) / np.maximum(to_m - from_m, 1.0), 0.0, 1.0)
        standing = (fleet.entered_ms[vehicle] > 0) & (fleet.passed_row[vehicle] < row - 1)
        stood_s = np.where(standing, (fleet.fix_ms[vehicle] - fleet.entered_ms[vehicle]) / 1000, dwell_s)
        return np.asarray(np.maximum(dwell_s - stood_s, 0.0) + (seconds - dwell_s) * share, dtype=np.float64)

    def _held_up(self, fleet: Fleet, vehicle: Index) -> Floats:
        """Return how much longer vehicles that stand on their way are likely to: the longer they stood, the longer."""
        parameters = self._parameters
        stood_s = (fleet.fix_ms[vehicle] - fleet.moved_ms[vehicle]) / 1000
        held_s = parameters.held_share * np.maximum(stood_s - parameters.held_after_s, 0.0)
        return np.asarray(np.where(fleet.departed[vehicle] > 0, held_s, 0.0))

    def _not_before(self, fleet: Fleet, told: Bools, runs: Runs, row: Index, planned_ms: Floats) -> Floats:
        """Return the earliest arrival of a bus at ``row``, -inf for any: its time, where early ones are seen to wait.

        A run that nobody told, only guessed, holds no bus back: the guess may be the run before or after.
        """
        parameters = self._parameters
        timed = self._plan.timing_point(runs, row - 1)
        prior = np.where(timed, parameters.wait_timed, parameters.wait_anywhere)
        waited, early = fleet.links.early[0, row], fleet.links.early[1, row]
        share = (waited + parameters.wait_weight * prior) / (early + parameters.wait_weight)
        early_ms = np.where(share > 0.5, 0.0, 1000.0 * parameters.early_max_s)
        held = told & (row > runs.first) & np.isfinite(planned_ms)
        return np.where(held, planned_ms - early_ms, -np.inf)

    def _start(self, fleet: Fleet, vehicle: Index, now_ms: int) -> tuple[Floats, Floats]:
        """Return when the links ahead begin, and one sigma of that: at the last fix, or the departure to come."""
        start_ms, sigma_ms = fleet.fix_ms[vehicle].astype(np.float64), np.zeros(len(vehicle))
        at = np.flatnonzero(fleet.departed[vehicle] == 0)
        if len(at):
            early, start_ms[at], late = self._departures.expect(fleet, vehicle[at], now_ms)
            sigma_ms[at] = (late - early) / P10_TO_P90_SIGMAS
        return start_ms, sigma_ms

    def _next_start(self, fleet: Fleet, vehicle: Index, ends_ms: Floats) -> tuple[Floats, Floats]:
        """Return when the next runs begin: by their timetable, but not before the vehicles have ended this one."""
        planned_ms = fleet.run_start_ms[vehicle, 1].astype(np.float64)
        ready_ms = ends_ms[vehicle] + 1000.0 * self._parameters.layover_min_s
        return np.maximum(planned_ms, ready_ms), np.full(len(vehicle), 1000.0 * self._parameters.spread_terminal_s)

    def _spread(self, arrival: Floats, variance: Floats, fix_ms: Index, now_ms: int, start_sigma_ms: Floats) -> Floats:
        """Return one sigma: that of the links ahead, of the traffic they share, of the place, of the departure."""
        parameters = self._parameters
        ahead_s = np.maximum(arrival - now_ms, 0.0) / 1000
        age_s = (now_ms - fix_ms) / 1000
        floor = parameters.spread_floor_s + 0.3 * age_s
        shared = parameters.spread_share * ahead_s
        return np.asarray(1000.0 * np.sqrt(floor**2 + variance + shared**2 + (start_sigma_ms / 1000) ** 2))


def _behind(
    predictions: Predictions, reroute: Reroute, vehicle: Index, stretch: Index, geometry: Geometry
) -> Predictions:
    """Return ``predictions`` without what lies beside the detours that ``vehicle`` is on: who knows how far it is?"""
    led = np.flatnonzero(stretch >= 0)
    if not len(led):
        return predictions
    back_m = np.full(int(vehicle.max()) + 1, -np.inf)
    back_m[vehicle[led]] = reroute.back_m[stretch[led]]
    return predictions.pick(np.flatnonzero(geometry.offset_m[predictions.row] >= back_m[predictions.vehicle]))


def _within(predictions: Predictions, now_ms: int, parameters: Parameters) -> Predictions:
    near = predictions.arrival_ms - now_ms <= parameters.horizon_s * 1000
    return predictions if near.all() else predictions.pick(np.flatnonzero(near))


assert LEGS == 2, "predict knows the run under way and the next one"  # noqa: S101 - a fact of this file
