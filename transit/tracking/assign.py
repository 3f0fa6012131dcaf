"""Which pattern is a vehicle on? New hypotheses are sown, and one is believed when it leads clearly enough.

"None" is an answer. What the feed says (trip, block, route, direction) narrows what is sown; what the vehicle did
before and what it is believed to do now weigh in; direction is proven by progress along the line, not by nearness.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.tracking.fleet import Fleet
from transit.tracking.geometry import Candidates, Geometry
from transit.tracking.match import Step
from transit.tracking.parameters import Parameters
from transit.tracking.ragged import heads

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

TWIN_M = 80.0  # two places this near on one line are one hypothesis


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Facts of patterns that assignment asks for often."""

    route: Index
    direction: Index
    of_route: tuple[Index, ...]
    popularity: Floats  # share of all trips, a tie-breaker between variants

    @classmethod
    def of(cls, network: Network) -> "Lines":
        """Return the facts of ``network``."""
        trips = np.bincount(network.trips.pattern, minlength=len(network.patterns)).astype(np.float64)
        return cls(
            network.patterns.route.astype(np.int64),
            network.patterns.direction.astype(np.int64),
            tuple(np.array(patterns, dtype=np.int64) for patterns in network.patterns_of_route),
            trips / max(trips.max(initial=1.0), 1.0),
        )


def sow(fleet: Fleet, geometry: Geometry, lines: Lines, network: Network, step: Step, parameters: Parameters) -> None:
    """Add hypotheses for vehicles of ``step`` that have none worth keeping, after they moved."""
    vehicle = step.vehicle
    active = fleet.guess_pattern[vehicle] >= 0
    odds = np.where(active, fleet.guess_odds[vehicle], -np.inf).max(axis=1)
    away_m = np.hypot(step.x - fleet.seeded_x[vehicle], step.y - fleet.seeded_y[vehicle])
    waited = step.fix_ms - fleet.seeded_ms[vehicle] >= parameters.reseed_s * 1000
    never = fleet.seeded_ms[vehicle] == 0
    wanted = (odds < parameters.odds_sow) & (never | (waited & (away_m >= parameters.reseed_move_m)))
    who = np.flatnonzero(wanted)
    if not len(who):
        return
    row = vehicle[who]
    fleet.seeded_ms[row], fleet.seeded_x[row], fleet.seeded_y[row] = step.fix_ms[who], step.x[who], step.y[who]
    place = (step.x[who], step.y[who])
    candidates = _candidates(fleet, geometry, lines, network, row, place, parameters)
    course = (step.course_x[who][candidates.point], step.course_y[who][candidates.point])
    along = geometry.along(candidates.pattern, candidates.offset_m, course)
    first_m = geometry.offset_m[geometry.first[candidates.pattern]]
    last_m = geometry.offset_m[geometry.first[candidates.pattern + 1] - 1]
    told = fleet.hint_direction[row[candidates.point]] >= 0
    turning = told & (candidates.offset_m <= first_m + parameters.departed_m)  # it came the other way and turns here
    useful = (last_m - candidates.offset_m > 2.5 * parameters.finished_m) & (turning | ~(along < -0.3))
    _plant(fleet, lines, row, candidates, useful)


def _candidates(
    fleet: Fleet,
    geometry: Geometry,
    lines: Lines,
    network: Network,
    row: Index,
    place: tuple[Floats, Floats],
    parameters: Parameters,
) -> Candidates:
    """Return where each vehicle may be: anywhere, or on what its hints allow, or waiting at a first stop."""
    points: list[int] = []
    patterns: list[int] = []
    waiting: list[bool] = []
    free: list[int] = []
    for number, vehicle in enumerate(row.tolist()):
        trip, route = int(fleet.hint_trip[vehicle]), int(fleet.hint_route[vehicle])
        if trip >= 0:
            allowed, from_hint = [int(network.trips.pattern[trip])], True
        elif route >= 0:
            allowed, from_hint = _of_route(lines, route, int(fleet.hint_direction[vehicle])), True
        else:
            last = int(fleet.last_route[vehicle])
            allowed, from_hint = (_of_route(lines, last, -1) if last >= 0 else []), False
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


def _of_route(lines: Lines, route: int, direction: int) -> list[int]:
    patterns = lines.of_route[route]
    if direction >= 0:
        agreed = patterns[(lines.direction[patterns] == direction) | (lines.direction[patterns] < 0)]
        patterns = agreed if len(agreed) else patterns
    return [int(pattern) for pattern in patterns]


def _plant(fleet: Fleet, lines: Lines, row: Index, candidates: Candidates, useful: npt.NDArray[np.bool_]) -> None:
    """Put candidates into free slots: the route it was last on first, then the nearest line."""
    point, pattern = candidates.point[useful], candidates.pattern[useful]
    offset_m, gap_m = candidates.offset_m[useful], candidates.gap_m[useful]
    vehicle = row[point]
    twins = (fleet.guess_pattern[vehicle] == pattern[:, None]) & (
        np.abs(fleet.guess_offset_m[vehicle] - offset_m[:, None]) < TWIN_M
    )
    new = np.flatnonzero(~twins.any(axis=1))
    unfamiliar = lines.route[pattern[new]] != fleet.last_route[vehicle[new]]
    new = new[np.lexsort((gap_m[new], unfamiliar, vehicle[new]))]
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


def choose(fleet: Fleet, geometry: Geometry, lines: Lines, step: Step, parameters: Parameters) -> tuple[Index, Index]:
    """Return ``(vehicle, slot)`` of vehicles of ``step`` that should believe another hypothesis than before."""
    vehicle = step.vehicle
    pattern = fleet.guess_pattern[vehicle]
    active = pattern >= 0
    some = active.any(axis=1)
    vehicle, pattern, active = vehicle[some], pattern[some], active[some]
    if not len(vehicle):
        return vehicle, vehicle
    odds = np.where(active, fleet.guess_odds[vehicle], -np.inf)
    at = np.arange(len(vehicle))
    now = fleet.slot[vehicle]
    liked = odds + 1e-3 * lines.popularity[pattern]
    liked = liked + 1.0 * (lines.route[pattern] == fleet.last_route[vehicle][:, None])
    liked[at[now >= 0], now[now >= 0]] += parameters.odds_hysteresis
    best = liked.argmax(axis=1)
    best_pattern = pattern[at, best]
    rival = active & (
        (lines.route[pattern] != lines.route[best_pattern][:, None])
        | (lines.direction[pattern] != lines.direction[best_pattern][:, None])
    )
    lead = liked[at, best] - np.where(rival, liked, -np.inf).max(axis=1)
    trip_given = fleet.hint_trip[vehicle] >= 0
    route_given = trip_given | (fleet.hint_route[vehicle] >= 0)
    direction_given = trip_given | (route_given & (fleet.hint_direction[vehicle] >= 0))
    first_m = geometry.offset_m[geometry.first[best_pattern]]
    waiting = fleet.guess_offset_m[vehicle, best] <= first_m + parameters.departed_m
    needed_m = np.where(route_given, parameters.progress_hinted_m, parameters.progress_min_m)
    needed_m = np.where(trip_given | (direction_given & waiting), -np.inf, needed_m)
    proven = fleet.guess_progress_m[vehicle, best] >= needed_m
    enough = np.where(trip_given, 0.3, np.where(direction_given & waiting, -0.1, parameters.odds_assign))
    chosen = (best != now) & proven & (odds[at, best] >= enough) & ((lead >= parameters.odds_lead) | trip_given)
    return vehicle[chosen], best[chosen]
