"""When a vehicle was at a stop: passages interpolated between two fixes on the line.

A stop has a zone of some metres before and after its place (less where stops are close). Entering it is the arrival,
leaving it the departure; between fixes a vehicle is taken to move evenly. TIDES stop_visits has the terms.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transit.tracking.departures import Departures
from transit.tracking.fleet import Fleet
from transit.tracking.geometry import Geometry
from transit.tracking.parameters import Parameters
from transit.tracking.plan import Plan
from transit.tracking.ragged import expand
from transit.tracking.travel_times import Links, Rates, add_pairs

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Passages:
    """Passages that became complete: left, or reached where the run ends (``departure_ms`` 0)."""

    vehicle: Index
    row: Index
    arrival_ms: Index
    departure_ms: Index
    uncertainty_s: Floats


class Zones:
    """Where each stop's zone begins and ends, as keys (see ``geometry``)."""

    def __init__(self, geometry: Geometry, parameters: Parameters) -> None:
        offset_m, first = geometry.offset_m, geometry.first
        gap = np.diff(offset_m)
        before = np.minimum(np.append(parameters.stop_reach_m, gap / 2), parameters.stop_reach_m)
        after = np.minimum(np.append(gap / 2, parameters.stop_zone_m), parameters.stop_zone_m)
        before[first[:-1]] = before[first[1:] - 1] = parameters.stop_zone_m
        after[first[1:] - 1] = parameters.stop_zone_m
        self.enter_m = offset_m - np.maximum(before, 0.0)
        self.leave_m = offset_m + np.maximum(after, 0.0)
        base = geometry.base[geometry.pattern_of_row]
        self.enter_key = base + self.enter_m
        self.leave_key = base + self.leave_m


def observe(
    fleet: Fleet,
    geometry: Geometry,
    zones: Zones,
    links: Links,
    rates: Rates,
    plan: Plan,
    departures: Departures,
    vehicle: Index,
    new_m: Floats,
    new_ms: Index,
    parameters: Parameters,
) -> Passages:
    """Advance each vehicle's front to ``new_m`` at ``new_ms`` and return the passages completed on the way.

    Also lets the links learn from them.
    """
    pattern = fleet.pattern[vehicle]
    old_m, old_ms = fleet.front_m[vehicle], fleet.front_ms[vehicle]
    forward = new_m > old_m
    told = forward & (new_ms - old_ms <= parameters.passage_gap_max_s * 1000)
    fleet.front_m[vehicle] = np.where(forward, new_m, old_m)
    # a standing vehicle's front keeps its place but not its time: it left only just now
    fleet.front_ms[vehicle] = new_ms
    base = geometry.base[pattern]
    row_first, row_last = geometry.first[pattern], geometry.first[pattern + 1]
    entered = _crossed(zones.enter_key, base, old_m, new_m, row_first, row_last, forward)
    left = _crossed(zones.leave_key, base, old_m, new_m, row_first, row_last, forward)
    at_ms = _interpolate(zones.enter_m, entered, old_m, new_m, old_ms, new_ms)
    owner, row = left
    departure_ms = _interpolate(zones.leave_m, left, old_m, new_m, old_ms, new_ms)
    arrival_ms = _arrivals(fleet, vehicle, entered, at_ms, left)
    gap_s = (new_ms - old_ms)[owner] / 1000
    known = told[owner] & (arrival_ms > 0)
    ended = _ended(fleet, vehicle, entered, at_ms, row_last, told, gap_s=(new_ms - old_ms) / 1000)
    _remember(fleet, vehicle, entered, at_ms, left, told)
    done = Passages(
        np.concatenate([vehicle[owner[known]], ended.vehicle]),
        np.concatenate([row[known], ended.row]),
        np.concatenate([arrival_ms[known], ended.arrival_ms]),
        np.concatenate([departure_ms[known], ended.departure_ms]),
        np.concatenate([gap_s[known] / 2, ended.uncertainty_s]),
    )
    begun = np.flatnonzero(links.begins[done.row] & (done.departure_ms > 0))
    departures.note(
        *(fleet, done.vehicle[begun], done.row[begun]),
        *(done.departure_ms[begun] - done.arrival_ms[begun], done.departure_ms[begun]),
    )
    _teach(fleet, links, rates, plan, done, parameters)
    return done


def _crossed(
    keys: Floats, base: Floats, old_m: Floats, new_m: Floats, first: Index, last: Index, forward: npt.NDArray[np.bool_]
) -> tuple[Index, Index]:
    """Return ``(owner, row)`` of the keys within (old, new] of each vehicle."""
    low = np.clip(np.searchsorted(keys, base + old_m, side="right"), first, last)
    high = np.clip(np.searchsorted(keys, base + new_m, side="right"), first, last)
    return expand(low, np.where(forward, high, low))


def _interpolate(
    places: Floats, crossed: tuple[Index, Index], old_m: Floats, new_m: Floats, old_ms: Index, new_ms: Index
) -> Index:
    owner, row = crossed
    share = (places[row] - old_m[owner]) / np.maximum(new_m[owner] - old_m[owner], 1e-6)
    return np.asarray(np.rint(old_ms[owner] + share * (new_ms - old_ms)[owner]), dtype=np.int64)


def _arrivals(
    fleet: Fleet, vehicle: Index, entered: tuple[Index, Index], at_ms: Index, left: tuple[Index, Index]
) -> Index:
    """Return when the stops now left were entered: in this step, or before it; 0 where that is unknown."""
    span = 1 + int(max(entered[1].max(initial=0), left[1].max(initial=0)))
    entered_key, left_key = entered[0] * span + entered[1], left[0] * span + left[1]
    place = np.searchsorted(entered_key, left_key)
    inside = np.minimum(place, max(len(entered_key) - 1, 0))
    same = (place < len(entered_key)) & (entered_key[inside] == left_key) if len(entered_key) else left_key < 0
    before_ms = np.where(
        fleet.passed_row[vehicle[left[0]]] < left[1], fleet.entered_ms[vehicle[left[0]]], np.zeros(1, dtype=np.int64)
    )
    return np.asarray(np.where(same, at_ms[inside] if len(at_ms) else 0, before_ms), dtype=np.int64)


def _ended(
    fleet: Fleet,
    vehicle: Index,
    entered: tuple[Index, Index],
    at_ms: Index,
    row_last: Index,
    told: npt.NDArray[np.bool_],
    *,
    gap_s: Floats,
) -> Passages:
    """Return arrivals at last stops: nobody waits for a departure there."""
    owner, row = entered
    end = (row == row_last[owner] - 1) & told[owner]
    return Passages(
        vehicle[owner[end]], row[end], at_ms[end], np.zeros(int(end.sum()), dtype=np.int64), gap_s[owner[end]] / 2
    )


def _remember(
    fleet: Fleet,
    vehicle: Index,
    entered: tuple[Index, Index],
    at_ms: Index,
    left: tuple[Index, Index],
    told: npt.NDArray[np.bool_],
) -> None:
    """Keep the arrival at the stop where the vehicle stands now, until it leaves."""
    last_left = np.full(len(vehicle), -1, dtype=np.int64)
    np.maximum.at(last_left, left[0], left[1])
    last_entered = np.full(len(vehicle), -1, dtype=np.int64)
    np.maximum.at(last_entered, entered[0], entered[1])
    entered_ms = np.zeros(len(vehicle), dtype=np.int64)
    entered_ms[entered[0]] = at_ms  # in order of row: the last one stays
    inside = last_entered > last_left
    fleet.entered_ms[vehicle] = np.where(
        inside, np.where(told, entered_ms, 0), np.where(last_left >= 0, 0, fleet.entered_ms[vehicle])
    )


def _teach(fleet: Fleet, links: Links, rates: Rates, plan: Plan, done: Passages, parameters: Parameters) -> None:
    """Let the links, the places of waiting and the drivers' paces learn from ``done``."""
    if not len(done.vehicle):
        return
    order = np.lexsort((done.row, done.vehicle))
    vehicle, row, arrival_ms = done.vehicle[order], done.row[order], done.arrival_ms[order]
    left_ms = np.where(done.departure_ms[order] > 0, done.departure_ms[order], arrival_ms)
    uncertainty_s = done.uncertainty_s[order]
    same = np.zeros(len(row), dtype=np.bool_)
    same[1:] = (vehicle[1:] == vehicle[:-1]) & (row[1:] == row[:-1] + 1)
    kept = ~same & (fleet.passed_row[vehicle] == row - 1) & (fleet.passed_ms[vehicle] > 0)
    before_ms = np.where(same, np.roll(arrival_ms, 1), fleet.passed_ms[vehicle])
    before_left_ms = np.where(same, np.roll(left_ms, 1), fleet.passed_left_ms[vehicle])
    begins = links.begins[np.maximum(row - 1, 0)]
    start_ms = np.where(begins, before_left_ms, before_ms)  # what it stood at a first stop is layover
    seconds = (arrival_ms - start_ms) / 1000
    length_m = links.length_m[row]
    plausible = (seconds > 0) & (seconds >= length_m / parameters.speed_max_mps)
    known = (same | kept) & plausible
    vehicle_, row_, seconds_ = vehicle[known], row[known], seconds[known]
    weight = 1.0 / (1.0 + (uncertainty_s[known] / 30.0) ** 2)
    planned_s = plan.step_s(fleet, vehicle_, 0, row_)
    trust = plan.trust(fleet, vehicle_, 0)
    base_s = links.base(rates, row_, planned_s, trust)
    waited = _note_waiting(fleet, plan, vehicle_, row_, before_ms[known], arrival_ms[known], parameters)
    _note_recovery(
        fleet,
        plan,
        vehicle_,
        row_,
        seconds_ - base_s * rates.ratio[links.of_row[row_]],
        base_s,
        arrival_ms[known],
        parameters,
    )
    free = ~(waited & (seconds_ > 1.5 * base_s))
    planned_s = np.where(plan.scheduled(fleet, vehicle_, 0), planned_s, np.nan)
    links.learn(
        *(fleet.links, rates, row_[free], seconds_[free], base_s[free], planned_s[free], weight[free]),
        arrival_ms[known][free],
    )
    dwelt = free & ~begins[known]
    dwell_s = (before_left_ms - before_ms)[known] / 1000
    links.learn_dwell(fleet.links, row_[dwelt], np.clip(dwell_s[dwelt], 0.0, seconds_[dwelt]), weight[dwelt])
    _note_pace(
        fleet,
        rates,
        links,
        vehicle_[free],
        row_[free],
        seconds_[free],
        base_s[free],
        arrival_ms[known][free],
        parameters,
    )
    fleet.passed_row[vehicle] = row  # in order of row: the last one stays
    fleet.passed_ms[vehicle], fleet.passed_left_ms[vehicle] = arrival_ms, left_ms


def _note_waiting(
    fleet: Fleet, plan: Plan, vehicle: Index, row: Index, before_ms: Index, arrival_ms: Index, parameters: Parameters
) -> npt.NDArray[np.bool_]:
    """Return which vehicles came early and waited on the way to ``row`` for their time, and remember where they do."""
    lead_s = (plan.arrival_ms(fleet, vehicle, 0, row - 1) - before_ms) / 1000
    left_s = (plan.arrival_ms(fleet, vehicle, 0, row) - arrival_ms) / 1000
    early = lead_s >= parameters.wait_early_s
    waited = np.asarray(early & (left_s <= parameters.wait_left_s), dtype=np.bool_)
    add_pairs(fleet.links.early, row[early], np.stack([waited[early], np.ones(int(early.sum()))]))
    return waited


def _note_recovery(
    fleet: Fleet,
    plan: Plan,
    vehicle: Index,
    row: Index,
    surplus_s: Floats,
    base_s: Floats,
    arrival_ms: Index,
    parameters: Parameters,
) -> None:
    """Regress what links took beyond the expected on how far the vehicle was off its plan some minutes before."""
    limit_s = parameters.recovery_max_s
    off_s = -np.clip(fleet.late_s[vehicle], -limit_s, limit_s)
    known = (fleet.late_ms[vehicle] > 0) & (arrival_ms - fleet.late_ms[vehicle] < 4_000 * parameters.recovery_apart_s)
    told = fleet.hint_trip[vehicle] >= 0
    x = off_s * base_s
    at = 4 * told + 2 * (off_s < 0)
    y = np.clip(surplus_s, -0.8 * base_s, np.maximum(np.abs(off_s), base_s))
    np.add.at(fleet.links.recovery, at[known], (x * y)[known])
    np.add.at(fleet.links.recovery, at[known] + 1, (x * x)[known])
    late_s = (arrival_ms - plan.arrival_ms(fleet, vehicle, 0, row)) / 1000
    moved_on = np.isfinite(late_s) & (arrival_ms - fleet.later_ms[vehicle] >= 1000 * parameters.recovery_apart_s)
    for column, value in (("late_s", fleet.later_s[vehicle]), ("late_ms", fleet.later_ms[vehicle])):
        getattr(fleet, column)[vehicle[moved_on]] = value[moved_on]
    fleet.later_s[vehicle[moved_on]], fleet.later_ms[vehicle[moved_on]] = late_s[moved_on], arrival_ms[moved_on]


def _note_pace(
    fleet: Fleet,
    rates: Rates,
    links: Links,
    vehicle: Index,
    row: Index,
    seconds: Floats,
    base_s: Floats,
    arrival_ms: Index,
    parameters: Parameters,
) -> None:
    if not len(vehicle):
        return
    expected_s = base_s * rates.ratio[links.of_row[row]]
    tame = np.clip(seconds, 0.4 * expected_s, parameters.link_outlier * expected_s)
    who, last = np.unique(vehicle[::-1], return_index=True)
    now_ms = arrival_ms[::-1][last]
    fade = 0.5 ** (np.maximum(now_ms - fleet.passed_ms[who], 0) / (1000 * parameters.pace_half_life_s))
    fleet.pace_s[who] *= fade
    fleet.pace_base_s[who] *= fade
    np.add.at(fleet.pace_s, vehicle, tame)
    np.add.at(fleet.pace_base_s, vehicle, expected_s)
