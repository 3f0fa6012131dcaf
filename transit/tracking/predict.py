"""Arrivals at the stops ahead, of the run under way and the next one of the block, each with a median and p10–p90.

A vehicle's own place and the running times of the links ahead carry its delay forward; at timing points and terminals
it does not leave before its time. Pure arithmetic on ragged rows: one row per (vehicle, leg, stop ahead).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.tracking.fleet import LEGS, Fleet
from transit.tracking.geometry import Geometry
from transit.tracking.parameters import Parameters
from transit.tracking.ragged import expand, running_max, running_sum
from transit.tracking.travel_times import Links

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

P90_SIGMAS = 1.45  # buses are late further than they are early
P10_SIGMAS = 1.05


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """One entry per (vehicle, leg, row), in that order; times in epoch milliseconds."""

    vehicle: Index
    leg: Index
    row: Index  # of the pattern
    arrival_ms: Index
    p10_ms: Index
    p90_ms: Index
    planned_ms: Index  # 0 without timetable
    waiting: Bools  # the vehicle has not left its first stop


class Predictor:
    """Predicts for any set of vehicles; holds nothing but the network."""

    def __init__(self, network: Network, geometry: Geometry, links: Links, parameters: Parameters) -> None:
        self._geometry, self._links, self._parameters = geometry, links, parameters
        trips = network.trips
        self._trip_first = trips.first.astype(np.int64)
        self._arrival_s = trips.arrival_s.astype(np.float64)
        self._departure_s = trips.departure_s.astype(np.float64)
        # a feed that times every stop does not say where its buses wait; one that times a few does
        self._timing_point = trips.given if not trips.given.all() else np.zeros(len(trips.given), dtype=np.bool_)

    def predict(self, fleet: Fleet, vehicle: Index, now_ms: int) -> Predictions:
        """Return what is expected of ``vehicle``; nothing for those that are not on a run, silent or stuck."""
        live = self._live(fleet, vehicle, now_ms)
        first_leg = self._leg(fleet, vehicle[live], 0, np.zeros(int(live.sum())), now_ms)
        ends_ms = np.zeros(int(live.sum()))
        if len(first_leg.vehicle):
            tail = np.flatnonzero(np.append(np.diff(first_leg.vehicle) != 0, True))
            position = {int(v): i for i, v in enumerate(vehicle[live])}
            ends_ms[[position[int(v)] for v in first_leg.vehicle[tail]]] = first_leg.arrival_ms[tail]
        following = (fleet.run_pattern[vehicle[live], 1] >= 0) & (ends_ms > 0)
        second_leg = self._leg(fleet, vehicle[live][following], 1, ends_ms[following], now_ms)
        return _within(_join(first_leg, second_leg), now_ms, self._parameters)

    def _live(self, fleet: Fleet, vehicle: Index, now_ms: int) -> Bools:
        parameters = self._parameters
        heard = now_ms - fleet.fix_ms[vehicle] <= parameters.stale_s * 1000
        stuck = (now_ms - fleet.moved_ms[vehicle] > parameters.delayed_s * 1000) & (fleet.departed[vehicle] > 0)
        on_line = fleet.bad_fixes[vehicle] < parameters.bad_fixes_off_route
        return np.asarray((fleet.slot[vehicle] >= 0) & heard & ~stuck & on_line, dtype=np.bool_)

    def _leg(self, fleet: Fleet, vehicle: Index, leg: int, after_ms: Floats, now_ms: int) -> Predictions:
        geometry, parameters = self._geometry, self._parameters
        pattern = fleet.run_pattern[vehicle, leg]
        first, last = geometry.first[pattern], geometry.first[pattern + 1]
        waiting = fleet.departed[vehicle] == 0 if leg == 0 else np.ones(len(vehicle), dtype=np.bool_)
        offset_m = fleet.offset_m[vehicle] if leg == 0 else np.zeros(len(vehicle))
        behind = np.maximum(geometry.row_at(pattern, offset_m - 0.5 * parameters.stop_zone_m), first)
        ahead = np.where(waiting, first, np.minimum(behind + 1, last))
        owner, row = expand(ahead, np.minimum(last, ahead + parameters.horizon_rows))
        trip, zero_ms = fleet.run_trip[vehicle, leg], fleet.run_zero_ms[vehicle, leg]
        scheduled = (fleet.run_scheduled[vehicle, leg] > 0) & (trip >= 0)
        time_row = np.where(trip >= 0, self._trip_first[np.maximum(trip, 0)], 0)[owner] + row - first[owner]
        time_row = np.where(trip[owner] >= 0, time_row, 0)
        planned_ms = zero_ms[owner] + 1000.0 * self._arrival_s[time_row]
        planned_step = self._arrival_s[time_row] - self._arrival_s[np.maximum(time_row - 1, 0)]
        inner = row > first[owner]
        planned_step = np.where((trip[owner] >= 0) & inner & (planned_step > 0), planned_step, np.nan)
        trust = np.where(scheduled, parameters.timetable_weight, parameters.template_weight)[owner]
        step_s = np.where(inner, self._links.expect(fleet.links, row, planned_step, trust, now_ms), 0.0)
        head = row == ahead[owner]
        left_share = self._share_left(offset_m, ahead, first, leg)
        step_s = np.where(head & ~waiting[owner], step_s * left_share[owner], step_s)
        start_ms = self._start(fleet, vehicle, leg, waiting, after_ms, now_ms)
        ready = running_sum(owner, step_s) if len(owner) else step_s
        before = np.maximum(time_row - 1, 0)
        held = np.where(
            scheduled[owner] & self._timing_point[before] & inner & ~head,
            zero_ms[owner] + 1000.0 * (self._departure_s[before] + step_s),
            -np.inf,
        )
        slack = running_max(owner, held - start_ms[owner] - 1000.0 * ready) if len(owner) else ready
        arrival = start_ms[owner] + 1000.0 * ready + np.maximum(slack, 0.0)
        arrival = np.maximum(arrival, now_ms)
        spread_ms = self._spread(arrival, fleet.fix_ms[vehicle][owner], now_ms, waiting[owner])
        return Predictions(
            vehicle[owner],
            np.full(len(owner), leg, dtype=np.int64),
            row,
            np.rint(arrival).astype(np.int64),
            np.rint(np.maximum(arrival - P10_SIGMAS * spread_ms, now_ms)).astype(np.int64),
            np.rint(arrival + P90_SIGMAS * spread_ms).astype(np.int64),
            np.where(scheduled[owner], np.rint(planned_ms), 0).astype(np.int64),
            waiting[owner],
        )

    def _share_left(self, offset_m: Floats, ahead: Index, first: Index, leg: int) -> Floats:
        """Return which share of the link to the next stop is still to drive."""
        if leg > 0:
            return np.ones(len(offset_m))
        geometry = self._geometry
        to_m = geometry.offset_m[np.minimum(ahead, len(geometry.offset_m) - 1)]
        from_m = geometry.offset_m[np.maximum(ahead - 1, first)]
        return np.asarray(np.clip((to_m - offset_m) / np.maximum(to_m - from_m, 1.0), 0.0, 1.0))

    def _start(self, fleet: Fleet, vehicle: Index, leg: int, waiting: Bools, after_ms: Floats, now_ms: int) -> Floats:
        """Return when the links ahead begin: at the last fix, or at the departure from the first stop."""
        planned = fleet.run_start_ms[vehicle, leg].astype(np.float64)
        if leg > 0:
            return np.asarray(np.maximum(planned, after_ms + 1000.0 * self._parameters.layover_min_s))
        return np.where(waiting, np.maximum(planned, now_ms), fleet.fix_ms[vehicle].astype(np.float64))

    def _spread(self, arrival: Floats, fix_ms: Index, now_ms: int, waiting: Bools) -> Floats:
        """Return one sigma: it grows with the time ahead and with the age of the fix."""
        parameters = self._parameters
        ahead_s = np.maximum(arrival - now_ms, 0.0) / 1000
        age_s = (now_ms - fix_ms) / 1000
        floor = parameters.spread_floor_s + 0.3 * age_s
        terminal = np.where(waiting, parameters.spread_terminal_s, 0.0)
        return np.asarray(1000.0 * np.sqrt(floor**2 + (parameters.spread_share * ahead_s) ** 2 + terminal**2))


def _join(one: Predictions, two: Predictions) -> Predictions:
    if not len(two.vehicle):
        return one
    pairs = [(getattr(one, name), getattr(two, name)) for name in Predictions.__slots__]
    joined = Predictions(*(np.concatenate(pair) for pair in pairs))
    order = np.lexsort((joined.row, joined.leg, joined.vehicle))
    return _pick(joined, order)


def _within(predictions: Predictions, now_ms: int, parameters: Parameters) -> Predictions:
    near = predictions.arrival_ms - now_ms <= parameters.horizon_s * 1000
    return predictions if near.all() else _pick(predictions, np.flatnonzero(near))


def _pick(predictions: Predictions, index: Index) -> Predictions:
    return Predictions(*(getattr(predictions, name)[index] for name in Predictions.__slots__))


assert LEGS == 2, "predict knows the run under way and the next one"  # noqa: S101 - a fact of this file
