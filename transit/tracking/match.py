"""Follow every hypothesis of every vehicle along its line, and weigh what the new fix says of it.

A hypothesis is a pattern and an offset on its line. Its odds are kept as log-odds against "on none of the lines", moved
by each fix that brings news, and bounded, so that old evidence can be outweighed by new.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transit.tracking.fleet import Fleet
from transit.tracking.geometry import Geometry
from transit.tracking.parameters import Parameters

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """One round: the new fix of each vehicle, and how it moved since its last one."""

    vehicle: Index  # fleet rows, each once
    fix_ms: Index
    x: Floats
    y: Floats
    gap_s: Floats  # since the last fix; 0 for the first
    moved_m: Floats
    course_x: Floats  # unit vector of the movement, NaN where there is none to speak of
    course_y: Floats


def follow(fleet: Fleet, geometry: Geometry, step: Step, parameters: Parameters) -> None:
    """Move the hypotheses of the vehicles in ``step`` and weigh them; those not worth keeping are dropped."""
    vehicle = step.vehicle
    lost = step.gap_s > parameters.window_max_s
    forget(fleet, vehicle[lost])
    who, slot = np.nonzero(fleet.guess_pattern[vehicle] >= 0)
    if not len(who):
        return
    row = vehicle[who]
    pattern, before_m = fleet.guess_pattern[row, slot], fleet.guess_offset_m[row, slot]
    moved_m, gap_s = step.moved_m[who], step.gap_s[who]
    ahead_m = np.minimum(parameters.speed_max_mps * gap_s, 3.0 * moved_m + 400.0)
    place = (step.x[who], step.y[who])
    found = geometry.match(
        pattern,
        before_m,
        moved_m,
        (np.full(len(who), parameters.window_back_m) + 0.5 * moved_m, parameters.window_ahead_m + ahead_m),
        30.0 + 0.6 * moved_m + 0.05 * parameters.speed_max_mps * gap_s,
        place,
        (step.course_x[who], step.course_y[who]),
        parameters.noise_m,
        parameters.wrong_way_cost,
    )
    evidence = _evidence(found.gap_m, found.along, found.offset_m - before_m, moved_m, parameters)
    first_m = geometry.offset_m[geometry.first[pattern]]
    near_first = np.hypot(*geometry.from_first_stop(pattern, place)) < parameters.terminal_m
    at_terminal = near_first & (before_m <= first_m + parameters.departed_m)
    evidence = np.where(at_terminal, np.maximum(evidence, 0.0), evidence)
    on_line = found.gap_m <= 2.0 * parameters.candidate_m
    advance_m = np.where(on_line, found.offset_m - before_m, 0.0)
    odds = np.minimum(fleet.guess_odds[row, slot] + evidence, parameters.odds_max)
    fleet.guess_odds[row, slot] = odds
    fleet.guess_offset_m[row, slot] = before_m + advance_m
    fleet.guess_gap_m[row, slot] = found.gap_m
    begins = near_first & (fleet.guess_offset_m[row, slot] <= first_m + parameters.terminal_m)
    fleet.guess_born_ms[row[begins], slot[begins]] = step.fix_ms[who[begins]]  # who waits and turns has no pace yet
    fleet.guess_born_m[row[begins], slot[begins]] = fleet.guess_offset_m[row[begins], slot[begins]]
    fleet.guess_progress_m[row, slot] += np.minimum(advance_m, 1.5 * moved_m)
    dropped = odds < parameters.odds_drop
    fleet.guess_pattern[row[dropped], slot[dropped]] = -1
    unbelieved = dropped & (fleet.slot[row] == slot)
    fleet.slot[row[unbelieved]] = -1


def forget(fleet: Fleet, vehicle: Index) -> None:
    """Drop all hypotheses of ``vehicle``, its assignment included."""
    fleet.guess_pattern[vehicle] = -1
    fleet.slot[vehicle] = -1
    fleet.seeded_ms[vehicle] = 0


def merge_twins(fleet: Fleet, vehicle: Index) -> None:
    """Drop the weaker of two hypotheses of a vehicle that came to mean the same place on the same line."""
    vehicle = vehicle[(fleet.guess_pattern[vehicle] >= 0).sum(axis=1) > 1]
    pattern, offset_m = fleet.guess_pattern[vehicle], fleet.guess_offset_m[vehicle]
    order = np.lexsort((offset_m, pattern), axis=1)
    rows = np.arange(len(vehicle))[:, None]
    same = (pattern[rows, order][:, 1:] == pattern[rows, order][:, :-1]) & (pattern[rows, order][:, 1:] >= 0)
    same &= np.abs(np.diff(offset_m[rows, order], axis=1)) < 30.0
    for who, place in zip(*np.nonzero(same), strict=True):
        row = vehicle[who]
        a, b = int(order[who, place]), int(order[who, place + 1])
        if fleet.guess_pattern[row, a] < 0 or fleet.guess_pattern[row, b] < 0:
            continue
        keep_a = fleet.slot[row] == a or (fleet.slot[row] != b and fleet.guess_odds[row, a] >= fleet.guess_odds[row, b])
        fleet.guess_pattern[row, b if keep_a else a] = -1


def _evidence(gap_m: Floats, along: Floats, advance_m: Floats, moved_m: Floats, parameters: Parameters) -> Floats:
    sigma = parameters.evidence_sigma_m
    gap = np.minimum(gap_m, 2.0 * parameters.candidate_m)
    fit = 0.5 * (parameters.null_gap_m**2 - gap**2) / sigma**2
    fit = fit - 3.0 * (along < -0.3) - 1.5 * (advance_m < -50.0)
    news = np.clip(moved_m / parameters.evidence_full_move_m, 0.0, 1.0)
    return np.asarray(news * np.clip(fit, parameters.evidence_min, parameters.evidence_max), dtype=np.float64)
