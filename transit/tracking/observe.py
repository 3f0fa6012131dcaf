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
from transit.tracking.ragged import expand, heads
from transit.tracking.said import judge
from transit.tracking.travel_times import Links, Rates

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

UNSEEN_STOPS = 8  # from the first: further on it is not known well enough when a run began
UNCERTAINTY_S = 120.0  # a passage known this well counts half: less would favour fast drives over jams


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

    Also notes what they teach.
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
    place = done.row - geometry.first[fleet.pattern[done.vehicle]]
    planned_ms = plan.arrival_ms(plan.runs(fleet, done.vehicle, 0), done.row)
    judge(fleet, fleet.outcomes, done.vehicle, links.route_of_row[done.row], place, done.arrival_ms, planned_ms)
    _note_unseen(fleet, geometry, links, rates, departures, done)
    _teach(fleet, links, rates, plan, done, parameters)
    return done


def _note_unseen(
    fleet: Fleet, geometry: Geometry, links: Links, rates: Rates, departures: Departures, done: Passages
) -> None:
    """Let departures nobody saw follow from the first passage of a run, where that is not far from its beginning."""
    order = np.lexsort((done.row, done.vehicle))
    order = order[heads(done.vehicle[order])]
    vehicle, row = done.vehicle[order], done.row[order]
    first = geometry.first[fleet.pattern[vehicle]]
    unseen = (fleet.passed_row[vehicle] < 0) & (row > first) & (row - first <= UNSEEN_STOPS)
    vehicle, row, first = vehicle[unseen], row[unseen], first[unseen]
    if not len(vehicle):
        return
    owner, link_row = expand(first + 1, row + 1)
    nothing = np.zeros(len(owner))
    usual_s = np.bincount(owner, links.base(rates, link_row, nothing * np.nan, nothing + 1.0), minlength=len(vehicle))
    departures.note_unseen(fleet, vehicle, done.arrival_ms[order][unseen] - np.rint(1000 * usual_s).astype(np.int64))


def _crossed(
    keys: Floats, base: Floats, old_m: Floats, new_m: Floats, first: Index, last: Index, forward: npt.NDArray[np.bool_]
) -> tuple[Index, Index]:
    """Return ``(owner, row)`` of the keys within (old, new] of each vehicle."""
    # both ends are looked up one after the other: they lie side by side in memory
    ends = np.stack([base + old_m, base + new_m], axis=1).ravel()
    found = np.searchsorted(keys, ends, side="right").reshape(-1, 2)
    low, high = np.clip(found[:, 0], first, last), np.clip(found[:, 1], first, last)
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
    known = np.flatnonzero((same | kept) & plausible)
    who, at, when_ms, seconds = vehicle[known], row[known], arrival_ms[known], seconds[known]
    runs = plan.runs(fleet, who, 0)
    planned_s = plan.step_s(runs, at)
    base_s = links.base(rates, at, planned_s, plan.trust(runs))
    expected_s = base_s * rates.ratio[links.of_row[at]]
    lead_s = (plan.arrival_ms(runs, at - 1) - before_ms[known]) / 1000
    late_s = (when_ms - plan.arrival_ms(runs, at)) / 1000
    early = lead_s >= parameters.wait_early_s
    waited = early & (late_s >= -parameters.wait_left_s)
    fleet.passages.add(
        when_ms=when_ms,
        vehicle=who,
        row=at,
        seconds=seconds,
        base_s=base_s,
        expected_s=expected_s,
        planned_s=np.where(runs.scheduled, planned_s, np.nan),
        weight=1.0 / (1.0 + (uncertainty_s[known] / UNCERTAINTY_S) ** 2),
        dwell_s=np.where(begins[known], np.nan, np.clip((before_left_ms - before_ms)[known] / 1000, 0.0, seconds)),
        off_s=_off_plan(fleet, who, when_ms, late_s, parameters),
        told=fleet.hint_trip[who] >= 0,
        early=early,
        waited=waited,
    )
    free = ~(waited & (seconds > 1.5 * base_s))
    _note_pace(fleet, who[free], seconds[free], expected_s[free], when_ms[free], parameters)
    fleet.passed_row[vehicle] = row  # in order of row: the last one stays
    fleet.passed_ms[vehicle], fleet.passed_left_ms[vehicle] = arrival_ms, left_ms


def _off_plan(fleet: Fleet, vehicle: Index, when_ms: Index, late_s: Floats, parameters: Parameters) -> Floats:
    """Return how early each vehicle was some minutes ago, NaN where unknown, and keep how it is now."""
    apart_ms = 1000 * parameters.recovery_apart_s
    known = (fleet.late_ms[vehicle] > 0) & (when_ms - fleet.late_ms[vehicle] < 4 * apart_ms)
    off_s = np.where(known, -fleet.late_s[vehicle], np.nan)
    on = np.isfinite(late_s) & (when_ms - fleet.later_ms[vehicle] >= apart_ms)
    fleet.late_s[vehicle[on]], fleet.late_ms[vehicle[on]] = fleet.later_s[vehicle[on]], fleet.later_ms[vehicle[on]]
    fleet.later_s[vehicle[on]], fleet.later_ms[vehicle[on]] = late_s[on], when_ms[on]
    return off_s


def _note_pace(
    fleet: Fleet, vehicle: Index, seconds: Floats, expected_s: Floats, arrival_ms: Index, parameters: Parameters
) -> None:
    """Keep what each vehicle drove lately beside what was expected of it."""
    if not len(vehicle):
        return
    tame = np.clip(seconds, 0.4 * expected_s, parameters.pace_outlier * expected_s)
    who, last = np.unique(vehicle[::-1], return_index=True)
    now_ms = arrival_ms[::-1][last]
    age_s = np.maximum(now_ms - fleet.paced_ms[who], 0) / 1000
    fleet.paced_ms[who] = now_ms
    for driven, expected, half_life_s in (
        (fleet.pace_s, fleet.pace_base_s, parameters.pace_half_life_s),
        (fleet.manner_s, fleet.manner_base_s, parameters.manner_half_life_s),
    ):
        fade = 0.5 ** (age_s / half_life_s)
        driven[who] *= fade
        expected[who] *= fade
        np.add.at(driven, vehicle, tame)
        np.add.at(expected, vehicle, expected_s)
