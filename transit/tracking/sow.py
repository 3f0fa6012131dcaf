"""Where may a vehicle be? New hypotheses are found for vehicles that have none worth keeping, or may begin a run.

What the feed says (trip, block, route, direction) narrows what is looked for, until the vehicle shows that it is wrong.
"""

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.outcomes import Phase
from transit.tracking.assign import Lines, doubt, drives_empty
from transit.tracking.fit import Fit
from transit.tracking.fleet import Fleet
from transit.tracking.geometry import Candidates, Geometry
from transit.tracking.match import Step
from transit.tracking.parameters import Parameters
from transit.tracking.ragged import heads
from transit.tracking.wording import PHASES

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Place = tuple[Floats, Floats]

TWIN_M = 80.0  # two places this near on one line are one hypothesis
DEADHEAD = PHASES.index(Phase.DEADHEAD)
ON_A_RUN = np.array([phase in (Phase.IN_SERVICE, Phase.OFF_ROUTE) for phase in PHASES])


class Sower:
    """Finds hypotheses on the lines of one network and writes them to ``Fleet``."""

    def __init__(self, network: Network, geometry: Geometry, lines: Lines, fit: Fit, parameters: Parameters) -> None:
        self._network, self._geometry, self._lines = network, geometry, lines
        self._fit, self._parameters = fit, parameters

    def sow(self, fleet: Fleet, step: Step) -> None:
        """Add hypotheses for vehicles of ``step`` that have none worth keeping, and for free ones at first stops."""
        parameters, vehicle = self._parameters, step.vehicle
        self._doubt(fleet, step)
        active = fleet.guess_pattern[vehicle] >= 0
        odds = np.where(active, fleet.guess_odds[vehicle], -np.inf).max(axis=1)
        away_m = np.hypot(step.x - fleet.seeded_x[vehicle], step.y - fleet.seeded_y[vehicle])
        waited = step.fix_ms - fleet.seeded_ms[vehicle] >= parameters.reseed_s * 1000
        never = fleet.seeded_ms[vehicle] == 0
        due = never | (waited & (away_m >= parameters.reseed_move_m))
        told = (fleet.hint_trip[vehicle] >= 0) | (fleet.hint_route[vehicle] >= 0)
        lost = odds < parameters.odds_sow
        self._sow(fleet, step, np.flatnonzero(due & lost))
        slot = fleet.slot[vehicle]
        waits = (fleet.departed[vehicle] == 0) & (fleet.run_guessed[vehicle] > 0)  # it may leave as another line
        free = ~told & ((slot < 0) | waits | (fleet.guess_midway[vehicle, np.maximum(slot, 0)] > 0))
        self._sow(fleet, step, np.flatnonzero(due & ~lost & free), beginning=True)

    def _doubt(self, fleet: Fleet, step: Step) -> None:
        """Hold vehicles that stood by a line, on no run, for parked there; believe those that followed one for long."""
        parameters, geometry, vehicle = self._parameters, self._geometry, step.vehicle
        stood = step.fix_ms - fleet.moved_ms[vehicle] >= 1000 * parameters.known_s
        row = vehicle[stood & (fleet.slot[vehicle] < 0)]
        if len(row):
            first_m = geometry.offset_m[geometry.first[np.maximum(fleet.guess_pattern[row], 0)]]
            on_the_way = fleet.guess_offset_m[row] > first_m + parameters.terminal_m
            who, slot = np.nonzero(on_the_way & (fleet.guess_pattern[row] >= 0))
            doubt(fleet, row[who], slot)
        held = vehicle[fleet.slot[vehicle] >= 0]
        slot = fleet.slot[held]
        fleet.guess_midway[held, slot] &= fleet.guess_progress_m[held, slot] < parameters.lead_long_m
        untold = (fleet.hint_trip[held] < 0) & (fleet.hint_route[held] < 0) & (fleet.departed[held] > 0)
        if not untold.any():
            return
        held, slot = held[untold], slot[untold]
        empty = drives_empty(fleet, self._fit, held, slot, parameters)
        held, slot = held[empty], slot[empty]
        doubt(fleet, held, slot)
        fleet.slot[held], fleet.phase[held] = -1, DEADHEAD

    def _sow(self, fleet: Fleet, step: Step, who: Index, *, beginning: bool = False) -> None:
        """Look for places of vehicles number ``who`` of ``step``: anywhere they may be, or only where lines begin."""
        if not len(who):
            return
        geometry, parameters, row = self._geometry, self._parameters, step.vehicle[who]
        fleet.seeded_ms[row], fleet.seeded_x[row], fleet.seeded_y[row] = step.fix_ms[who], step.x[who], step.y[who]
        place = (step.x[who], step.y[who])
        found = self._beginnings(place) if beginning else self._candidates(fleet, row, place)
        vehicle = row[found.point]
        course = (step.course_x[who][found.point], step.course_y[who][found.point])
        along = geometry.along(found.pattern, found.offset_m, course)
        first_m = geometry.offset_m[geometry.first[found.pattern]]
        last_m = geometry.offset_m[geometry.first[found.pattern + 1] - 1]
        turning = found.offset_m <= first_m + parameters.departed_m  # whichever way it came, it may begin here
        useful = (last_m - found.offset_m > 2.5 * parameters.finished_m) & (turning | ~(along < -0.3))
        free = np.flatnonzero(useful & (fleet.hint_trip[vehicle] < 0) & (fleet.hint_route[vehicle] < 0))
        served = self._fit.cost_s(found.pattern[free], found.offset_m[free], step.fix_ms[who[found.point[free]]])
        useful[free] = np.isfinite(served)
        self._plant(fleet, row, found, useful, step.fix_ms[who])

    def _beginnings(self, place: Place) -> Candidates:
        """Return the first stops that are near: a vehicle that comes from elsewhere may begin a run there."""
        geometry = self._geometry
        point, pattern = geometry.near_first_stops(place, self._parameters.terminal_m)
        gap_m = np.hypot(*geometry.from_first_stop(pattern, (place[0][point], place[1][point])))
        return Candidates(point, pattern, geometry.offset_m[geometry.first[pattern]], gap_m)

    def _candidates(self, fleet: Fleet, row: Index, place: Place) -> Candidates:
        """Return where each vehicle may be: anywhere, or on what its hints allow, or waiting at a first stop."""
        geometry, lines, parameters = self._geometry, self._lines, self._parameters
        points: list[int] = []
        patterns: list[int] = []
        waiting: list[bool] = []
        free: list[int] = []
        for number, vehicle in enumerate(row.tolist()):
            trip, route = int(fleet.hint_trip[vehicle]), int(fleet.hint_route[vehicle])
            astray = bool(fleet.astray_m[vehicle] >= parameters.astray_m)
            if trip >= 0:
                allowed, from_hint = [int(self._network.trips.pattern[trip])], True
            elif route >= 0:
                allowed, from_hint = lines.patterns(route, -1 if astray else int(fleet.hint_direction[vehicle])), True
            else:
                last = int(fleet.last_route[vehicle])
                allowed, from_hint = (lines.patterns(last, -1) if last >= 0 else []), False
            if route < 0 and (trip < 0 or astray):
                free.append(number)
            points.extend([number] * len(allowed))
            patterns.extend(allowed)
            waiting.extend([not from_hint] * len(allowed))
        point, pattern = np.array(points, dtype=np.int64), np.array(patterns, dtype=np.int64)
        only_waiting = np.array(waiting, dtype=np.bool_)
        parts = []
        if len(point):
            hinted = ~only_waiting
            parts.append(geometry.near_on(place, point[hinted], pattern[hinted], parameters.candidate_m))
            gap_m = np.hypot(*geometry.from_first_stop(pattern, (place[0][point], place[1][point])))
            near = (gap_m < parameters.terminal_m) & (gap_m > 0.5 * parameters.candidate_m)
            first_m = geometry.offset_m[geometry.first[pattern[near]]]
            parts.append(Candidates(point[near], pattern[near], first_m, gap_m[near]))
        if free:
            at = np.array(free, dtype=np.int64)
            anywhere = geometry.near((place[0][at], place[1][at]), parameters.candidate_m)
            parts.append(Candidates(at[anywhere.point], anywhere.pattern, anywhere.offset_m, anywhere.gap_m))
        return Candidates(
            np.concatenate([part.point for part in parts]),
            np.concatenate([part.pattern for part in parts]),
            np.concatenate([part.offset_m for part in parts]),
            np.concatenate([part.gap_m for part in parts]),
        )

    def _plant(self, fleet: Fleet, row: Index, candidates: Candidates, useful: Bools, fix_ms: Index) -> None:
        """Put candidates into free slots: the route it was last on first, then the nearest line."""
        point, pattern = candidates.point[useful], candidates.pattern[useful]
        offset_m, gap_m = candidates.offset_m[useful], candidates.gap_m[useful]
        vehicle = row[point]
        twins = (fleet.guess_pattern[vehicle] == pattern[:, None]) & (
            np.abs(fleet.guess_offset_m[vehicle] - offset_m[:, None]) < TWIN_M
        )
        new = np.flatnonzero(~twins.any(axis=1))
        midway = self._midway(fleet, vehicle[new], pattern[new], offset_m[new], fix_ms[point[new]])
        unfamiliar = self._lines.route[pattern[new]] != fleet.last_route[vehicle[new]]
        order = np.lexsort((gap_m[new], unfamiliar, midway, vehicle[new]))
        new, midway = new[order], midway[order]
        vehicle, pattern, offset_m, gap_m = vehicle[new], pattern[new], offset_m[new], gap_m[new]
        first = np.flatnonzero(heads(vehicle))
        rank = np.arange(len(new)) - np.repeat(first, np.diff(np.append(first, len(new))))
        taken = fleet.guess_pattern[vehicle] >= 0
        fits = rank < (~taken).sum(axis=1)
        vehicle, pattern, rank, taken = vehicle[fits], pattern[fits], rank[fits], taken[fits]
        slot = np.argsort(taken, axis=1, kind="stable")[np.arange(len(vehicle)), rank]
        fleet.guess_pattern[vehicle, slot] = pattern
        fleet.guess_offset_m[vehicle, slot] = offset_m[fits]
        fleet.guess_gap_m[vehicle, slot] = gap_m[fits]
        fleet.guess_odds[vehicle, slot] = np.where(fleet.hint_trip[vehicle] >= 0, 1.0, 0.0)
        fleet.guess_progress_m[vehicle, slot] = 0.0
        fleet.guess_midway[vehicle, slot] = midway[fits]
        fleet.guess_born_ms[vehicle, slot], fleet.guess_born_m[vehicle, slot] = fleet.fix_ms[vehicle], offset_m[fits]

    def _midway(self, fleet: Fleet, vehicle: Index, pattern: Index, offset_m: Floats, fix_ms: Index) -> Bools:
        """Return where a vehicle that was seen elsewhere before would have to have joined a line on its way."""
        parameters, lines, first = self._parameters, self._lines, self._geometry.first[pattern]
        known = (fleet.seen_m[vehicle] >= parameters.known_m) | (
            fix_ms - fleet.seen_ms[vehicle] >= 1000 * parameters.known_s
        )
        before = fleet.pattern[vehicle]
        same_line = (lines.route[pattern] == lines.route[before]) & (
            lines.direction[pattern] == lines.direction[before]
        )
        again = ON_A_RUN[fleet.phase[vehicle]] & same_line  # it left its line and is back on it
        return np.asarray(known & ~again & (offset_m > self._geometry.offset_m[first] + parameters.terminal_m))
