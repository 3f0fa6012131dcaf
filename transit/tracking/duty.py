"""Runs begin, are waited for and end: what a vehicle is doing, decided when something about it changes.

These are the few vehicles of a batch that change what they do, so they are taken one at a time.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.outcomes import Phase
from transit.tracking.assign import Lines
from transit.tracking.fleet import Fleet
from transit.tracking.geometry import Geometry
from transit.tracking.match import Step, forget
from transit.tracking.parameters import Parameters
from transit.tracking.runs import Run, RunBook
from transit.tracking.wording import PHASES

Index = npt.NDArray[np.int64]

IN_SERVICE, LAYOVER, OFF_ROUTE = (PHASES.index(phase) for phase in (Phase.IN_SERVICE, Phase.LAYOVER, Phase.OFF_ROUTE))


class Duty:
    """Begins and ends runs. What it decides is written to ``Fleet``."""

    def __init__(
        self, network: Network, geometry: Geometry, lines: Lines, runs: RunBook, parameters: Parameters
    ) -> None:
        self._network, self._geometry, self._lines = network, geometry, lines
        self._runs, self._parameters = runs, parameters

    def take_hints(
        self,
        fleet: Fleet,
        step: Step,
        trip_id: Sequence[str],
        block_id: Sequence[str],
        route_id: Sequence[str],
        direction_id: Index,
    ) -> None:
        """Note what the feed says the vehicles are on; a changed word makes the vehicle looked for anew."""
        network, vehicle = self._network, step.vehicle
        trip = np.array([network.trip_by_id.get(word, -1) if word else -1 for word in trip_id], dtype=np.int64)
        block = np.array([network.block_by_id.get(word, -1) if word else -1 for word in block_id], dtype=np.int64)
        route = np.array([network.route_by_id.get(word, -1) if word else -1 for word in route_id], dtype=np.int64)
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
        self._retake(fleet, vehicle)

    def _retake(self, fleet: Fleet, vehicle: Index) -> None:
        """Give vehicles that follow the line of the run they were told, which another had, that run once it is free."""
        trip = fleet.hint_trip[vehicle]
        without = (fleet.slot[vehicle] >= 0) & (trip >= 0) & (fleet.run_trip[vehicle, 0] != trip)
        without &= self._network.trips.pattern[trip] == fleet.pattern[vehicle]
        for row in vehicle[without].tolist():
            run = self._told(fleet, row, int(fleet.pattern[row]), float(fleet.offset_m[row]))
            if run is not None:
                self._take(fleet, row, run)
                fleet.run_guessed[row] = 0

    def begin(self, fleet: Fleet, vehicle: Index, slot: Index) -> None:
        """Let each vehicle believe its hypothesis ``slot`` and find its run."""
        if not len(vehicle):
            return
        taken = self._taken(fleet, fleet.guess_pattern[vehicle, slot])
        for row, chosen in zip(vehicle.tolist(), slot.tolist(), strict=True):
            pattern = int(fleet.guess_pattern[row, chosen])
            offset_m = float(fleet.guess_offset_m[row, chosen])
            trip = int(fleet.hint_trip[row])
            if pattern < 0:  # another vehicle has just taken its run
                continue
            waiting = self._waits(pattern, offset_m)
            run = self._told(fleet, row, pattern, offset_m)
            if run is None:
                run = self._find(pattern, offset_m, int(fleet.fix_ms[row]), taken, waiting=waiting)
            self._enter(fleet, row, chosen, run, departed=not waiting)
            fleet.run_guessed[row] = trip < 0 or run.trip != trip
            taken.add((run.day, run.trip, run.zero_ms))

    def _told(self, fleet: Fleet, row: int, pattern: int, offset_m: float) -> Run | None:
        """Return the run that the feed says, if it is on ``pattern`` and nobody has a better claim to it.

        Two vehicles told one run: the first keeps it while it is heard, unless it waits and the other is under way.
        """
        trip, now_ms = int(fleet.hint_trip[row]), int(fleet.fix_ms[row])
        if trip < 0 or int(self._network.trips.pattern[trip]) != pattern:
            return None
        at = int(self._geometry.row_at(np.array([pattern]), np.array([offset_m]))[0])
        run = self._runs.of_trip(trip, at - int(self._geometry.first[pattern]), now_ms)
        for holder in self._holding(fleet, 0, run, row).tolist():
            told = int(fleet.hint_trip[holder]) == trip
            heard = now_ms - int(fleet.fix_ms[holder]) <= 1000 * self._parameters.stale_s
            waits = not fleet.departed[holder] and not self._waits(pattern, offset_m)
            if told and heard and not waits:
                return None
            forget(fleet, np.array([holder]))
        return run

    def progress(self, fleet: Fleet, step: Step, now_ms: int) -> None:
        """Say what the vehicles of ``step`` on a run are doing; end the runs that are over and begin what follows."""
        vehicle = step.vehicle
        parameters, geometry = self._parameters, self._geometry
        on_run = fleet.slot[vehicle] >= 0
        row = vehicle[on_run]
        pattern = fleet.pattern[row]
        first, last = geometry.first[pattern], geometry.first[pattern + 1] - 1
        since_m = fleet.offset_m[row] - geometry.offset_m[first]
        left = since_m > parameters.departed_m
        leaves = left & (fleet.departed[row] == 0) & (fleet.run_guessed[row] > 0) & (fleet.run_scheduled[row, 0] > 0)
        stood_ms = step.fix_ms[on_run] - fleet.moved_ms[row]
        back = (since_m <= parameters.back_m) & (stood_ms >= 1000 * parameters.delayed_s)
        self._wait_again(fleet, row[back & (fleet.departed[row] > 0)])
        fleet.departed[row] = np.maximum(fleet.departed[row], left)
        self._leave(fleet, row[leaves])
        departed = fleet.departed[row] > 0
        fleet.bad_fixes[row] += (
            fleet.guess_gap_m[row, fleet.slot[row]] > parameters.jump_free_m
        )  # no noise: counts twice
        off = fleet.bad_fixes[row] >= parameters.bad_fixes_off_route
        fleet.phase[row] = np.where(off & departed, OFF_ROUTE, np.where(departed, IN_SERVICE, LAYOVER))
        remaining_m = geometry.offset_m[last] - fleet.offset_m[row]
        there = departed & (remaining_m <= parameters.finished_m)
        fleet.ended_ms[row] = np.where(
            there, np.where(fleet.ended_ms[row] > 0, fleet.ended_ms[row], step.fix_ms[on_run]), 0
        )
        stands = step.moved_m[on_run] < parameters.course_move_m
        waited = step.fix_ms[on_run] - fleet.ended_ms[row] >= 1000 * parameters.ended_s
        parked = row[departed & (stood_ms >= 1000 * parameters.parked_anywhere_s)]
        over = there & (stands | waited | (fleet.bad_fixes[row] > 0))
        for vehicle_row in row[over].tolist():
            self._finish(fleet, vehicle_row, now_ms)
        forget(fleet, parked)

    def _wait_again(self, fleet: Fleet, vehicle: Index) -> None:
        """Let those that stand for long at their first stop again wait there: they turned, or were never gone."""
        fleet.departed[vehicle] = 0
        fleet.front_m[vehicle], fleet.front_ms[vehicle] = fleet.offset_m[vehicle], fleet.fix_ms[vehicle]
        fleet.passed_row[vehicle], fleet.entered_ms[vehicle] = -1, fleet.moved_ms[vehicle]

    def _leave(self, fleet: Fleet, vehicle: Index) -> None:
        """See anew which departure those vehicles are that leave late; while they stood it was a guess."""
        late_ms = fleet.fix_ms[vehicle] - fleet.run_start_ms[vehicle, 0]
        for row in vehicle[late_ms > 1000 * self._parameters.leave_late_s].tolist():
            taken = self._taken(fleet, int(fleet.pattern[row]))
            taken.discard((int(fleet.run_day[row, 0]), int(fleet.run_trip[row, 0]), int(fleet.run_zero_ms[row, 0])))
            pattern, offset_m, now_ms = int(fleet.pattern[row]), float(fleet.offset_m[row]), int(fleet.fix_ms[row])
            run = self._find(pattern, offset_m, now_ms, taken, waiting=False)
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

    def _taken(self, fleet: Fleet, patterns: Index | int) -> set[tuple[int, int, int]]:
        """Return the runs of ``patterns`` that vehicles are on, or will be on next by what the feed says."""
        count = len(fleet)
        wanted = np.zeros(len(self._network.patterns), dtype=np.bool_)
        wanted[patterns] = True
        taken: set[tuple[int, int, int]] = set()
        for leg, held in enumerate(
            (fleet.slot[:count] >= 0, (fleet.slot[:count] >= 0) & (fleet.hint_trip[:count] >= 0))
        ):
            busy = np.flatnonzero(
                held & (fleet.run_scheduled[:count, leg] > 0) & wanted[fleet.run_pattern[:count, leg]]
            )
            columns = (fleet.run_day[busy, leg], fleet.run_trip[busy, leg], fleet.run_zero_ms[busy, leg])
            taken.update(zip(*(column.tolist() for column in columns), strict=True))
        return taken

    def _find(
        self, pattern: int, offset_m: float, now_ms: int, taken: set[tuple[int, int, int]], *, waiting: bool
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
        self._unplan(fleet, self._holding(fleet, 1, run, row))
        following = None
        if run.trip >= 0 and run.scheduled:
            block = int(self._network.trips.block[run.trip])
            following = self._runs.next_of_block(block, run.day, run.start_ms + 1)
        if following is None or len(self._holding(fleet, 0, following, row)):
            self._unplan(fleet, np.array([row]))
        else:
            self._put(fleet, row, 1, following)

    def _apart(self, fleet: Fleet, row: int, run: Run) -> Run:
        """Return ``run``, which is known by its departure, some seconds later if others of that line have the same."""
        count = len(fleet)
        others = (fleet.run_pattern[:count, 0] == run.pattern) & (fleet.slot[:count] >= 0)
        others[row] = False
        held_s = set((fleet.run_start_ms[:count, 0][others] // 1000).tolist())
        later_ms = 0
        while (run.start_ms + later_ms) // 1000 in held_s:
            later_ms += 1000
        return dataclasses.replace(run, start_ms=run.start_ms + later_ms, zero_ms=run.zero_ms + later_ms)

    def _unplan(self, fleet: Fleet, vehicle: Index) -> None:
        """Let the vehicles have no next run."""
        fleet.run_trip[vehicle, 1] = fleet.run_pattern[vehicle, 1] = -1
        fleet.run_scheduled[vehicle, 1] = fleet.run_start_ms[vehicle, 1] = 0

    def _holding(self, fleet: Fleet, leg: int, run: Run, but: int) -> Index:
        """Return the vehicles, but for one, that have ``run``, a run of the timetable, as this leg."""
        count = len(fleet)
        same = (fleet.run_trip[:count, leg] == run.trip) & (fleet.run_zero_ms[:count, leg] == run.zero_ms)
        same &= (fleet.run_scheduled[:count, leg] > 0) & (fleet.slot[:count] >= 0) & run.scheduled
        same[but] = False
        return np.flatnonzero(same).astype(np.int64)

    def _put(self, fleet: Fleet, row: int, leg: int, run: Run) -> None:
        fleet.run_trip[row, leg] = run.trip
        fleet.run_zero_ms[row, leg] = run.zero_ms
        fleet.run_day[row, leg] = run.day
        fleet.run_start_ms[row, leg] = run.start_ms
        fleet.run_scheduled[row, leg] = int(run.scheduled)
        fleet.run_pattern[row, leg] = run.pattern

    def _finish(self, fleet: Fleet, row: int, now_ms: int) -> None:
        """End the run; wait for the next one if it begins here."""
        pattern = int(fleet.pattern[row])
        route = int(self._lines.route[pattern])
        following = None
        if fleet.run_pattern[row, 1] >= 0:
            following = self._next_leg(fleet, row)
        reached_ms, by_block = int(fleet.ended_ms[row]), following is not None
        forget(fleet, np.array([row]))
        fleet.last_pattern[row] = pattern
        fleet.phase[row] = LAYOVER
        place = (fleet.x[row : row + 1], fleet.y[row : row + 1])
        if following is None:
            following = self._turn(fleet, row, pattern, route, place, now_ms)
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
        now_ms: int,
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
        return self._find(best, first_m, int(fleet.fix_ms[row]), self._taken(fleet, best), waiting=True)

    def _sit(self, fleet: Fleet, row: int, run: Run) -> None:
        """Let the vehicle wait at the first stop of ``run``."""
        fleet.guess_pattern[row, 0] = run.pattern
        fleet.guess_offset_m[row, 0] = self._geometry.offset_m[self._geometry.first[run.pattern]]
        fleet.guess_odds[row, 0] = self._parameters.odds_assign
        fleet.guess_gap_m[row, 0] = fleet.guess_progress_m[row, 0] = 0.0
        fleet.guess_midway[row, 0] = 0
        self._enter(fleet, row, 0, run, departed=False)
        fleet.phase[row] = LAYOVER
