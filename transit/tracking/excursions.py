"""Vehicles that leave their line and come back to it: what happens is noted, vehicle by vehicle, to be compared later.

A vehicle has left when it is off its line for ``bad_fixes_off_route`` fixes, and is back when it is on it again for as
many, further on and driving along it; also when it is on no run meanwhile. Pure, in arrays; ``detours`` makes sense of
what was noted here. Only vehicles astray cost more than a few comparisons.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from transit.outcomes import Phase
from transit.tracking.assign import Lines
from transit.tracking.detour_book import BACK, LEFT, LOST, PASSED, PLACE
from transit.tracking.fleet import Fleet
from transit.tracking.geometry import Geometry
from transit.tracking.match import Step
from transit.tracking.parameters import Parameters
from transit.tracking.ragged import expand, first_minimum, heads
from transit.tracking.reroute import Watched
from transit.tracking.wording import PHASES

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

OFF_ROUTE: Final = PHASES.index(Phase.OFF_ROUTE)
BACKWARDS_M: Final = 30.0  # a fix may seem that far behind the one before
ALONG_MIN: Final = 0.3  # cosine: a vehicle that crosses its line, or drives against it, is not back


def note_excursions(
    fleet: Fleet, geometry: Geometry, lines: Lines, step: Step, watched: Watched, parameters: Parameters
) -> None:
    """Note what the vehicles of ``step`` did beside their lines, and who drove a ``watched`` stretch on the line."""
    vehicle = step.vehicle
    slot = fleet.slot[vehicle]
    on_line = (slot >= 0) & (fleet.departed[vehicle] > 0)
    on_line &= fleet.guess_gap_m[vehicle, slot] <= parameters.candidate_m
    away = fleet.strayed[vehicle] >= parameters.bad_fixes_off_route
    _keep_place(fleet, step, np.flatnonzero(on_line & ~away), watched, parameters)
    astray = np.flatnonzero(~on_line & ~away & (fleet.line_pattern[vehicle] >= 0))
    if len(astray):
        _stray(fleet, geometry, step, astray, parameters)
    absent = np.flatnonzero(away)
    if len(absent):
        _return(fleet, geometry, lines, step, absent, on_line[absent], parameters)


def _keep_place(fleet: Fleet, step: Step, at: Index, watched: Watched, parameters: Parameters) -> None:
    """Keep where vehicles are on their lines."""
    vehicle = step.vehicle[at]
    pattern, now_m = fleet.pattern[vehicle], fleet.offset_m[vehicle]
    unbroken = (fleet.line_pattern[vehicle] == pattern) & (fleet.strayed[vehicle] == 0)
    unbroken &= step.gap_s[at] <= parameters.passage_gap_max_s
    if len(watched):
        owner, stretch = expand(watched.first[pattern], watched.first[pattern + 1])
        who = vehicle[owner]
        before_m, from_m, to_m = fleet.line_m[who], watched.from_m[stretch], watched.to_m[stretch]
        through = unbroken[owner] & (fleet.line_from_m[who] <= from_m) & (now_m[owner] >= to_m)
        through &= (before_m > from_m + parameters.candidate_m) & (before_m < to_m)
        done = np.flatnonzero(through)
        _note(fleet, step.fix_ms[at[owner[done]]], who[done], PASSED, watched.number[stretch[done]])
    fleet.line_from_m[vehicle] = np.where(unbroken, fleet.line_from_m[vehicle], now_m)
    fleet.line_pattern[vehicle], fleet.line_m[vehicle], fleet.line_ms[vehicle] = pattern, now_m, step.fix_ms[at]
    fleet.strayed[vehicle] = 0


def _stray(fleet: Fleet, geometry: Geometry, step: Step, at: Index, parameters: Parameters) -> None:
    """Count the fixes of vehicles that are no longer on their lines; forget those that have ended a run or wait."""
    vehicle = step.vehicle[at]
    held = fleet.slot[vehicle] >= 0
    follows = np.where(held, fleet.departed[vehicle] > 0, fleet.phase[vehicle] == OFF_ROUTE)
    follows &= step.gap_s[at] <= parameters.window_max_s
    free = np.flatnonzero(follows & ~held)
    place, line = (step.x[at[free]], step.y[at[free]]), fleet.line_pattern[vehicle[free]]
    near = geometry.near_on(place, np.arange(len(free)), line, parameters.candidate_m)
    follows[free[near.point]] = False  # what is said of it has changed, it has not left
    pattern = fleet.line_pattern[vehicle]
    leaves = follows & (fleet.strayed[vehicle] + 1 >= parameters.bad_fixes_off_route)
    begin_m, end_m = geometry.offset_m[geometry.first[pattern]], geometry.offset_m[geometry.first[pattern + 1] - 1]
    left_m = fleet.line_m[vehicle]
    by_terminal = (left_m < begin_m + parameters.terminal_m) | (left_m > end_m - parameters.terminal_m)
    follows &= ~(leaves & by_terminal)  # terminals are yards
    fleet.strayed[vehicle] = np.where(follows, fleet.strayed[vehicle] + 1, 0)
    fleet.line_pattern[vehicle] = np.where(follows, pattern, -1)
    fleet.back_fixes[vehicle] = 0
    bad, left = np.flatnonzero(follows), np.flatnonzero(follows & leaves)
    _note(fleet, step.fix_ms[at[bad]], vehicle[bad], PLACE, step.x[at[bad]], step.y[at[bad]])
    _note(fleet, step.fix_ms[at[left]], vehicle[left], LEFT, left_m[left])


def _return(
    fleet: Fleet, geometry: Geometry, lines: Lines, step: Step, at: Index, on_line: Bools, parameters: Parameters
) -> None:
    """See which vehicles that had left are back, and which are doing something else."""
    vehicle, fix_ms = step.vehicle[at], step.fix_ms[at]
    line = fleet.line_pattern[vehicle]
    late = fix_ms - fleet.line_ms[vehicle] > 1000 * parameters.excursion_max_s
    late |= step.gap_s[at] > parameters.window_max_s
    now, told = fleet.pattern[vehicle], fleet.hint_route[vehicle]
    other = on_line & ((lines.route[now] != lines.route[line]) | (lines.direction[now] != lines.direction[line]))
    waits = (fleet.slot[vehicle] >= 0) & (fleet.departed[vehicle] == 0)
    lost = late | other | waits | ((told >= 0) & (told != lines.route[line]))
    _forget(fleet, fix_ms[lost], vehicle[lost])
    at, vehicle, fix_ms, line = at[~lost], vehicle[~lost], fix_ms[~lost], line[~lost]
    if not len(at):
        return
    found, found_m = _ahead(fleet, geometry, step, at, parameters)
    again = fleet.back_fixes[vehicle] > 0
    fits = again & (found_m <= fleet.back_m[vehicle] + 1.5 * step.moved_m[at] + parameters.candidate_m)
    fleet.back_fixes[vehicle] = np.where(found, np.where(fits, fleet.back_fixes[vehicle] + 1, 1), 0)
    anew = found & ~fits
    fleet.back_from_m[vehicle] = np.where(anew, found_m, fleet.back_from_m[vehicle])
    fleet.back_from_ms[vehicle] = np.where(anew, fix_ms, fleet.back_from_ms[vehicle])
    fleet.back_m[vehicle] = np.where(found, found_m, fleet.back_m[vehicle])
    _note(fleet, fix_ms[~found], vehicle[~found], PLACE, step.x[at[~found]], step.y[at[~found]])
    proven = fleet.back_m[vehicle] - fleet.back_from_m[vehicle] >= parameters.progress_hinted_m
    back = found & proven & (fleet.back_fixes[vehicle] >= parameters.bad_fixes_off_route)
    who = vehicle[back]
    _note(fleet, fix_ms[back], who, BACK, fleet.back_from_m[who], fleet.back_from_ms[who])
    fleet.line_m[who] = fleet.line_from_m[who] = fleet.back_m[who]
    fleet.line_ms[who], fleet.strayed[who] = fix_ms[back], 0


def _ahead(fleet: Fleet, geometry: Geometry, step: Step, at: Index, parameters: Parameters) -> tuple[Bools, Floats]:
    """Return which vehicles are on the line they left, further on and driving along it, and where."""
    vehicle = step.vehicle[at]
    place = geometry.near_on(
        (step.x[at], step.y[at]), np.arange(len(at)), fleet.line_pattern[vehicle], parameters.candidate_m
    )
    who = vehicle[place.point]
    least_m = np.where(fleet.back_fixes[who] > 0, fleet.back_m[who], fleet.line_m[who]) - BACKWARDS_M
    course = (step.course_x[at[place.point]], step.course_y[at[place.point]])
    along = geometry.along(place.pattern, place.offset_m, course)
    fits = np.flatnonzero((place.offset_m >= least_m) & ~(along < ALONG_MIN))
    found, found_m = np.zeros(len(at), dtype=np.bool_), np.zeros(len(at))
    if len(fits):
        point, offset_m = place.point[fits], place.offset_m[fits]
        best = first_minimum(heads(point), offset_m)
        found[point[best]], found_m[point[best]] = True, offset_m[best]
    return found, found_m


def _forget(fleet: Fleet, when_ms: Index, vehicle: Index) -> None:
    _note(fleet, when_ms, vehicle, LOST)
    fleet.strayed[vehicle], fleet.line_pattern[vehicle] = 0, -1


def _note(
    fleet: Fleet,
    when_ms: Index,
    vehicle: Index,
    kind: int,
    x: Floats | Index | None = None,
    y: Floats | Index | None = None,
) -> None:
    nothing = np.zeros(len(vehicle))
    fleet.excursions.add(
        when_ms=when_ms,
        vehicle=vehicle,
        kind=np.full(len(vehicle), kind),
        pattern=fleet.line_pattern[vehicle],
        left_ms=fleet.line_ms[vehicle],
        x=nothing if x is None else x,
        y=nothing if y is None else y,
    )
