"""What a vehicle is doing while it is on no run: off its line, standing at a terminal, under way empty, parked.

While it is on a run ``duty`` knows. "Unassigned" remains for vehicles of which too little is known, or which may be on
one of several lines.
"""

import numpy as np
import numpy.typing as npt

from transit.outcomes import Phase
from transit.tracking.fleet import Fleet
from transit.tracking.geometry import Geometry
from transit.tracking.match import Step
from transit.tracking.parameters import Parameters
from transit.tracking.wording import PHASES

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

UNASSIGNED, DEADHEAD, AT_DEPOT = (PHASES.index(phase) for phase in (Phase.UNASSIGNED, Phase.DEADHEAD, Phase.AT_DEPOT))
IN_SERVICE, LAYOVER, OFF_ROUTE = (PHASES.index(phase) for phase in (Phase.IN_SERVICE, Phase.LAYOVER, Phase.OFF_ROUTE))


def say_idle(fleet: Fleet, geometry: Geometry, step: Step, parameters: Parameters) -> None:
    """Say what the vehicles of ``step`` that are on no run are doing, in ``Fleet.phase``."""
    vehicle = step.vehicle
    on_run = fleet.slot[vehicle] >= 0
    # a vehicle never seen before must drive further until it is clear that it serves nothing
    never = fleet.seen_ms[vehicle] == step.fix_ms
    fleet.idle_m[vehicle] = np.where(on_run, 0.0, np.where(never, -parameters.known_m, fleet.idle_m[vehicle]))
    fleet.idle_m[vehicle] += np.where(on_run, 0.0, step.moved_m)
    row = vehicle[~on_run]
    if not len(row):
        return
    was, idle_m = fleet.phase[row], fleet.idle_m[row]
    stood_s = (fleet.fix_ms[row] - fleet.moved_ms[row]) / 1000
    ended = (was == LAYOVER) & (idle_m <= parameters.terminal_m)
    left = np.isin(was, (IN_SERVICE, OFF_ROUTE)) & (idle_m <= parameters.off_route_m)
    parked = stood_s >= min(parameters.parked_s, parameters.parked_anywhere_s)
    parked[parked] = _parked(fleet, geometry, row[parked], stood_s[parked], parameters)
    stays = (was == AT_DEPOT) & (stood_s > 0)
    drives = (idle_m >= parameters.known_m) & ~_may_serve(fleet, row, parameters)
    phase = np.full(len(row), UNASSIGNED)
    phase[drives] = DEADHEAD
    phase[left] = OFF_ROUTE
    phase[ended] = LAYOVER
    phase[parked | stays] = AT_DEPOT
    fleet.phase[row] = phase
    fleet.idle_m[row[parked]] = 0.0


def _may_serve(fleet: Fleet, row: Index, parameters: Parameters) -> Bools:
    """Return which vehicles may be on a line that they have been on since its first stop, or since they were seen."""
    good = (fleet.guess_pattern[row] >= 0) & (fleet.guess_odds[row] >= parameters.odds_assign)
    return np.asarray((good & (fleet.guess_midway[row] == 0)).any(axis=1))


def _parked(fleet: Fleet, geometry: Geometry, row: Index, stood_s: Floats, parameters: Parameters) -> Bools:
    """Return which vehicles stand for longer than one does there that will drive on: near first stops they wait."""
    point, _ = geometry.near_first_stops((fleet.x[row], fleet.y[row]), parameters.terminal_m)
    needed_s = np.full(len(row), parameters.parked_s)
    needed_s[point] = parameters.parked_anywhere_s
    return np.asarray(stood_s >= np.minimum(needed_s, parameters.parked_anywhere_s), dtype=np.bool_)
