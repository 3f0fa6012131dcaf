"""Runs begin, are waited for and end: what a vehicle is doing, decided when something about it changes.

What each vehicle can tell of itself is seen for all of a round at once. The few that then change what they do, and with
it what others may do, take turns in the order in which they reported.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.model import PositionBatch
from transit.outcomes import Phase
from transit.tracking.assign import Lines
from transit.tracking.claims import Claims
from transit.tracking.fleet import Fleet
from transit.tracking.geometry import Geometry
from transit.tracking.match import Step, forget
from transit.tracking.parameters import Parameters
from transit.tracking.runs import Run, RunBook
from transit.tracking.wording import PHASES

Index = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

IN_SERVICE, LAYOVER, OFF_ROUTE = (PHASES.index(phase) for phase in (Phase.IN_SERVICE, Phase.LAYOVER, Phase.OFF_ROUTE))


@dataclass(frozen=True, slots=True, eq=False)
class Signs:
    """What the vehicles of a round show of a change, by their place in it."""

    leaves: Bools  # late, from a first stop
    over: Bools  # at the end of the run
    parked: Bools  # for longer than any bus in service stands


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """What reports say of their runs, as numbers in the network; -1 for nothing."""

    trip: Index
    block: Index
    route: Index
    direction: Index

    def of(self, index: Index) -> "Words":
        """Return those of some reports."""
        return Words(self.trip[index], self.block[index], self.route[index], self.direction[index])


class Duty:
    """Begins and ends runs. What it decides is written to ``Fleet``; who holds which run is in ``claims``."""

    def __init__(
        self, fleet: Fleet, network: Network, geometry: Geometry, lines: Lines, runs: RunBook, parameters: Parameters
    ) -> None:
        self._network, self._geometry, self._lines = network, geometry, lines
        self._runs, self._parameters = runs, parameters
        self.claims = Claims.of(fleet, network.trips.block.astype(np.int64))

    def words_of(self, batch: PositionBatch, index: Index) -> Words:
        """Return what reports number ``index`` of ``batch`` say that their vehicles are on."""
        network, rows = self._network, index.tolist()
        return Words(
            _numbers(network.trip_by_id, batch.trip_id, rows),
            _numbers(network.block_by_id, batch.block_id, rows),
            _numbers(network.route_by_id, batch.route_id, rows),
            batch.direction_id[index].astype(np.int64),
        )

    def take_hints(self, fleet: Fleet, step: Step, words: Words) -> None:
        """Note what the feed says the vehicles are on; a changed word makes the vehicle looked for anew."""
        vehicle, block, route = step.vehicle, words.block, words.route
        trip, direction_id = words.trip.copy(), words.direction
        for i in np.flatnonzero((block >= 0) & (trip < 0)).tolist():
            trip[i] = self._trip_of_block(fleet, int(vehicle[i]), int(block[i]), int(step.fix_ms[i]))
        changed = (
            (trip != fleet.hint_trip[vehicle])
            | (route != fleet.hint_route[vehicle])
            | (direction_id != fleet.hint_direction[vehicle])
        )
        fleet.hint_trip[vehicle], fleet.hint_block[vehicle] = trip, block
        fleet.hint_route[vehicle], fleet.hint_direction[vehicle] = route, direction_id
        for i in np.flatnonzero(changed).tolist():
            row = int(vehicle[i])
            if not self._agrees(fleet, row):
                if self._at_the_end(fleet, row):
                    fleet.phase[row] = LAYOVER  # the driver was quicker than the last metres
                forget(fleet, vehicle[i : i + 1])

    def take_turns(self, fleet: Fleet, vehicle: Index, begins: Index, signs: Signs) -> None:
        """Let the vehicles of a round, in its order, leave, take, begin and end runs.

        ``begins`` is the hypothesis that each now believes, -1 for no other than before. A run that begins with a
        report does not end with it.
        """
        told = fleet.hint_trip[vehicle] >= 0
        gone = self.claims.on_run(vehicle) & (fleet.slot[vehicle] < 0)
        without = (fleet.slot[vehicle] >= 0) & told & (fleet.run_trip[vehicle, 0] != fleet.hint_trip[vehicle])
        without &= (self._network.trips.pattern[fleet.hint_trip[vehicle]] == fleet.pattern[vehicle]) & (begins < 0)
        busy = gone | without | (begins >= 0) | signs.leaves | signs.over | signs.parked
        busy |= self.claims.otherwise(vehicle, told)
        for i in np.flatnonzero(busy).tolist():
            row = int(vehicle[i])
            if fleet.slot[row] < 0:
                self.claims.release(row)
            else:
                self.claims.enter(row, told=bool(told[i]))
                if without[i]:
                    self._retake(fleet, row)
            if begins[i] >= 0:
                self._begin(fleet, row, int(begins[i]))
            elif fleet.slot[row] < 0:  # also: another has just taken its run
                continue
            if signs.leaves[i]:
                self._leave(fleet, row)
            if signs.over[i]:
                self._finish(fleet, row)
            if signs.parked[i]:
                self._forget(fleet, row)

    def let_go(self, fleet: Fleet, vehicle: Index) -> None:
        """Believe nothing of vehicles that are not heard of any more."""
        vehicle = vehicle[(fleet.guess_pattern[vehicle] >= 0).any(axis=1)]
        forget(fleet, vehicle)
        for row in vehicle.tolist():
            self.claims.release(row)

    def note_claims(self, fleet: Fleet) -> None:
        """Keep which runs are held at this moment."""
        count = len(fleet)
        holds = (fleet.slot[:count] >= 0) & (fleet.run_scheduled[:count, 0] > 0)
        fleet.claim_pattern[:count] = np.where(holds, fleet.run_pattern[:count, 0], -1)
        fleet.claim_start_ms[:count] = fleet.run_start_ms[:count, 0]

    def _forget(self, fleet: Fleet, row: int) -> None:
        forget(fleet, np.array([row]))
        self.claims.release(row)

    def _retake(self, fleet: Fleet, row: int) -> None:
        """Give a vehicle that follows the line of the run it was told, which another had, that run once it is free."""
        run = self._told(fleet, row, int(fleet.pattern[row]), float(fleet.offset_m[row]))
        if run is not None:
            self._take(fleet, row, run)
            fleet.run_guessed[row] = 0

    def _begin(self, fleet: Fleet, row: int, slot: int) -> None:
        """Let a vehicle believe its hypothesis ``slot`` and find its run."""
        pattern, offset_m = int(fleet.guess_pattern[row, slot]), float(fleet.guess_offset_m[row, slot])
        if pattern < 0:  # another vehicle has just taken its run
            return
        trip, waiting = int(fleet.hint_trip[row]), self._waits(pattern, offset_m)
        run = self._told(fleet, row, pattern, offset_m)
        if run is None:
            run = self._find(pattern, offset_m, int(fleet.fix_ms[row]), self.claims.taken, waiting=waiting)
        self._enter(fleet, row, slot, run, departed=not waiting)
        fleet.run_guessed[row] = trip < 0 or run.trip != trip

    def _told(self, fleet: Fleet, row: int, pattern: int, offset_m: float) -> Run | None:
        """Return the run that the feed says, if it is on ``pattern`` and nobody has a better claim to it.

        Two vehicles told one run: the first keeps it while it is heard, unless it waits and the other is under way.
        """
        trip, now_ms = int(fleet.hint_trip[row]), int(fleet.fix_ms[row])
        if trip < 0 or int(self._network.trips.pattern[trip]) != pattern:
            return None
        at = int(self._geometry.row_at(np.array([pattern]), np.array([offset_m]))[0])
        run = self._runs.of_trip(trip, at - int(self._geometry.first[pattern]), now_ms)
        for holder in self.claims.holders(0, run, row):
            told = int(fleet.hint_trip[holder]) == trip
            heard = now_ms - int(fleet.fix_ms[holder]) <= 1000 * self._parameters.stale_s
            waits = not fleet.departed[holder] and not self._waits(pattern, offset_m)
            if told and heard and not waits:
                return None
            self._forget(fleet, holder)
        return run

    def look(self, fleet: Fleet, step: Step, at: Index) -> Signs:
        """Say what the vehicles number ``at`` of ``step``, all on a run, are doing; return signs that it changes."""
        row = step.vehicle[at]
        parameters, geometry = self._parameters, self._geometry
        pattern = fleet.pattern[row]
        first, last = geometry.first[pattern], geometry.first[pattern + 1] - 1
        since_m = fleet.offset_m[row] - geometry.offset_m[first]
        left = since_m > parameters.departed_m
        leaves = left & (fleet.departed[row] == 0) & (fleet.run_guessed[row] > 0) & (fleet.run_scheduled[row, 0] > 0)
        leaves &= fleet.fix_ms[row] - fleet.run_start_ms[row, 0] > 1000 * parameters.leave_late_s
        stood_ms = step.fix_ms[at] - fleet.moved_ms[row]
        back = (since_m <= parameters.back_m) & (stood_ms >= 1000 * parameters.delayed_s)
        self._wait_again(fleet, row[back & (fleet.departed[row] > 0)])
        fleet.departed[row] = np.maximum(fleet.departed[row], left)
        departed = fleet.departed[row] > 0
        fleet.bad_fixes[row] += (
            fleet.guess_gap_m[row, fleet.slot[row]] > parameters.jump_free_m
        )  # no noise: counts twice
        off = fleet.bad_fixes[row] >= parameters.bad_fixes_off_route
        fleet.phase[row] = np.where(off & departed, OFF_ROUTE, np.where(departed, IN_SERVICE, LAYOVER))
        remaining_m = geometry.offset_m[last] - fleet.offset_m[row]
        there = departed & (remaining_m <= parameters.finished_m)
        fleet.ended_ms[row] = np.where(
            there, np.where(fleet.ended_ms[row] > 0, fleet.ended_ms[row], step.fix_ms[at]), 0
        )
        stands = step.moved_m[at] < parameters.course_move_m
        waited = step.fix_ms[at] - fleet.ended_ms[row] >= 1000 * parameters.ended_s
        over = there & (stands | waited | (fleet.bad_fixes[row] > 0))
        signs = Signs(*(np.zeros(len(step.vehicle), dtype=np.bool_) for _ in range(3)))
        signs.leaves[at], signs.over[at] = leaves, over
        signs.parked[at] = departed & (stood_ms >= 1000 * parameters.parked_anywhere_s)
        return signs

    def _wait_again(self, fleet: Fleet, vehicle: Index) -> None:
        """Let those that stand for long at their first stop again wait there: they turned, or were never gone."""
        fleet.departed[vehicle] = 0
        fleet.front_m[vehicle], fleet.front_ms[vehicle] = fleet.offset_m[vehicle], fleet.fix_ms[vehicle]
        fleet.passed_row[vehicle], fleet.entered_ms[vehicle] = -1, fleet.moved_ms[vehicle]

    def _leave(self, fleet: Fleet, row: int) -> None:
        """See anew which departure a vehicle is that leaves late; while it stood it was a guess."""
        pattern, offset_m, now_ms = int(fleet.pattern[row]), float(fleet.offset_m[row]), int(fleet.fix_ms[row])
        run = self._find(pattern, offset_m, now_ms, partial(self.claims.taken, but=row), waiting=False)
        if run.scheduled and run.start_ms != fleet.run_start_ms[row, 0]:
            self._take(fleet, row, run)

    def _agrees(self, fleet: Fleet, row: int) -> bool:
        """Return whether what the feed says now is what the vehicle is already believed to do."""
        if fleet.slot[row] < 0:
            return False
        pattern = int(fleet.pattern[row])
        trip, route = int(fleet.hint_trip[row]), int(fleet.hint_route[row])
        if trip >= 0:
            return trip == int(fleet.run_trip[row, 0])
        if route < 0:
            return True
        direction = int(fleet.hint_direction[row])
        return int(self._lines.route[pattern]) == route and direction in (-1, int(self._lines.direction[pattern]))

    def _at_the_end(self, fleet: Fleet, row: int) -> bool:
        """Return whether a vehicle on a run is so near the last stop that it may already be told its next run."""
        if fleet.slot[row] < 0 or not fleet.departed[row]:
            return False
        last = int(self._geometry.first[int(fleet.pattern[row]) + 1]) - 1
        remaining_m = float(self._geometry.offset_m[last]) - float(fleet.offset_m[row])
        return remaining_m <= self._parameters.terminal_m

    def _trip_of_block(self, fleet: Fleet, row: int, block: int, now_ms: int) -> int:
        """Return the trip of ``block`` that the vehicle is on or does next, -1 when its day is over."""
        trip = int(fleet.run_trip[row, 0])
        if fleet.slot[row] >= 0 and trip >= 0 and int(self._network.trips.block[trip]) == block:
            return trip
        run = self._runs.block_at(block, now_ms)
        return run.trip if run is not None else -1

    def _waits(self, pattern: int, offset_m: float) -> bool:
        first_m = float(self._geometry.offset_m[self._geometry.first[pattern]])
        return offset_m <= first_m + self._parameters.departed_m

    def _find(
        self, pattern: int, offset_m: float, now_ms: int, taken: Callable[[int, int], bool], *, waiting: bool
    ) -> Run:
        geometry = self._geometry
        at = int(geometry.row_at(np.array([pattern]), np.array([offset_m]))[0])
        after = min(at + 1, int(geometry.first[pattern + 1]) - 1)
        length_m = max(float(geometry.offset_m[after] - geometry.offset_m[at]), 1.0)
        share = min(max((offset_m - float(geometry.offset_m[at])) / length_m, 0.0), 1.0)
        row = at - int(geometry.first[pattern])
        run = self._runs.scheduled(pattern, share, row, now_ms, taken, waiting=waiting)
        if run is not None:
            return run
        start_ms = now_ms + round(1000 * self._parameters.layover_s) if waiting else now_ms
        return self._runs.headway(pattern, start_ms)

    def _enter(self, fleet: Fleet, row: int, slot: int, run: Run, *, departed: bool) -> None:
        """Put the vehicle on ``run``, at the place that its hypothesis ``slot`` says."""
        offset_m = float(fleet.guess_offset_m[row, slot])
        self.claims.enter(row, told=bool(fleet.hint_trip[row] >= 0))
        fleet.slot[row] = slot
        fleet.pattern[row] = run.pattern
        fleet.offset_m[row] = offset_m
        fleet.front_m[row], fleet.front_ms[row] = offset_m, fleet.fix_ms[row]
        fleet.departed[row] = int(departed)
        fleet.bad_fixes[row] = 0
        fleet.ended_ms[row] = 0
        if not fleet.guess_midway[row, slot]:  # what is doubtful says nothing of what it will do later
            fleet.last_route[row] = self._lines.route[run.pattern]
        fleet.passed_row[row], fleet.passed_ms[row], fleet.entered_ms[row] = -1, 0, 0
        if not departed:
            fleet.entered_ms[row] = fleet.fix_ms[row]  # it stands at the first stop: this is when it was seen there
        self._take(fleet, row, run)

    def _take(self, fleet: Fleet, row: int, run: Run) -> None:
        """Give ``run`` to the vehicle and to nobody else, also not as the next run; plan what follows it."""
        run = run if run.scheduled else self._apart(fleet, row, run)
        self._put(fleet, row, 0, run)
        for other in self.claims.holders(1, run, row):
            self._unplan(fleet, other)
        following = None
        if run.trip >= 0 and run.scheduled:
            block = int(self._network.trips.block[run.trip])
            following = self._runs.next_of_block(block, run.day, run.start_ms + 1)
        if following is None or self.claims.holders(0, following, row):
            self._unplan(fleet, row)
        else:
            self._put(fleet, row, 1, following)

    def _apart(self, fleet: Fleet, row: int, run: Run) -> Run:
        """Return ``run``, which is known by its departure, some seconds later if others of that line have the same."""
        others = self.claims.others(row)
        others = others[fleet.run_pattern[others, 0] == run.pattern]
        held_s = set((fleet.run_start_ms[others, 0] // 1000).tolist())
        later_ms = 0
        while (run.start_ms + later_ms) // 1000 in held_s:
            later_ms += 1000
        return dataclasses.replace(run, start_ms=run.start_ms + later_ms, zero_ms=run.zero_ms + later_ms)

    def _unplan(self, fleet: Fleet, row: int) -> None:
        """Let a vehicle have no next run."""
        self.claims.drop(row, 1)
        fleet.run_trip[row, 1] = fleet.run_pattern[row, 1] = -1
        fleet.run_scheduled[row, 1] = fleet.run_start_ms[row, 1] = 0

    def _put(self, fleet: Fleet, row: int, leg: int, run: Run) -> None:
        self.claims.hold(row, leg, run)
        fleet.run_trip[row, leg] = run.trip
        fleet.run_zero_ms[row, leg] = run.zero_ms
        fleet.run_day[row, leg] = run.day
        fleet.run_start_ms[row, leg] = run.start_ms
        fleet.run_scheduled[row, leg] = int(run.scheduled)
        fleet.run_pattern[row, leg] = run.pattern

    def _finish(self, fleet: Fleet, row: int) -> None:
        """End the run; wait for the next one if it begins here."""
        pattern = int(fleet.pattern[row])
        route = int(self._lines.route[pattern])
        following = None
        if fleet.run_pattern[row, 1] >= 0:
            following = self._next_leg(fleet, row)
        reached_ms, by_block = int(fleet.ended_ms[row]), following is not None
        self._forget(fleet, row)
        fleet.last_pattern[row] = pattern
        fleet.phase[row] = LAYOVER
        place = (fleet.x[row : row + 1], fleet.y[row : row + 1])
        if following is None:
            following = self._turn(fleet, row, pattern, route, place)
        if following is None:
            return
        self._sit(fleet, row, following)
        fleet.entered_ms[row], fleet.run_guessed[row] = reached_ms, not by_block

    def _next_leg(self, fleet: Fleet, row: int) -> Run:
        return Run(
            trip=int(fleet.run_trip[row, 1]),
            day=int(fleet.run_day[row, 1]),
            zero_ms=int(fleet.run_zero_ms[row, 1]),
            start_ms=int(fleet.run_start_ms[row, 1]),
            scheduled=bool(fleet.run_scheduled[row, 1]),
            pattern=int(fleet.run_pattern[row, 1]),
        )

    def _turn(
        self,
        fleet: Fleet,
        row: int,
        finished: int,
        route: int,
        place: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    ) -> Run | None:
        """Return the run of the same route that begins where the vehicle stands, if exactly that is plausible."""
        if fleet.hint_trip[row] >= 0:
            return None
        patterns = self._lines.of_route[route]
        direction = int(fleet.hint_direction[row])
        done = int(self._lines.direction[finished])
        if direction >= 0 and direction != done:  # the direction just driven is not what it will do next
            patterns = patterns[self._lines.direction[patterns] == direction]
        elif direction >= 0:
            patterns = patterns[self._lines.direction[patterns] != done]
        if not len(patterns):
            return None
        many = (np.repeat(place[0], len(patterns)), np.repeat(place[1], len(patterns)))
        gap_m = np.hypot(*self._geometry.from_first_stop(patterns, many))
        near = patterns[gap_m <= self._parameters.terminal_m]
        if not len(near):
            return None
        best = int(near[np.argmax(self._lines.popularity[near])])
        first_m = float(self._geometry.offset_m[self._geometry.first[best]])
        return self._find(best, first_m, int(fleet.fix_ms[row]), self.claims.taken, waiting=True)

    def _sit(self, fleet: Fleet, row: int, run: Run) -> None:
        """Let the vehicle wait at the first stop of ``run``."""
        fleet.guess_pattern[row, 0] = run.pattern
        fleet.guess_offset_m[row, 0] = self._geometry.offset_m[self._geometry.first[run.pattern]]
        fleet.guess_odds[row, 0] = self._parameters.odds_assign
        fleet.guess_gap_m[row, 0] = fleet.guess_progress_m[row, 0] = 0.0
        fleet.guess_midway[row, 0] = 0
        self._enter(fleet, row, 0, run, departed=False)
        fleet.phase[row] = LAYOVER


def _numbers(index: Mapping[str, int], ids: Sequence[str], rows: Sequence[int]) -> Index:
    """Return the number of the id in each of ``rows``, -1 for none and for those unknown."""
    if not any(ids):  # a feed that never says it
        return np.full(len(rows), index.get("", -1), dtype=np.int64)
    found = map(index.get, map(ids.__getitem__, rows), itertools.repeat(-1))
    return np.fromiter(found, dtype=np.int64, count=len(rows))
