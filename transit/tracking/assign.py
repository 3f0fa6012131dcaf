"""Which pattern is a vehicle on? Of its hypotheses one is believed when it leads clearly enough; "none" is an answer.

What the feed says, what the timetable has there at this moment and nobody else drives, what the vehicle did before and
what it is believed to do now weigh in; direction is proven by progress along the line, not by nearness.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.tracking.fit import Fit
from transit.tracking.fleet import Fleet
from transit.tracking.geometry import Geometry
from transit.tracking.match import Step
from transit.tracking.parameters import Parameters

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Facts of patterns that assignment asks for often."""

    route: Index
    direction: Index
    of_route: tuple[Index, ...]
    popularity: Floats  # share of all trips, a tie-breaker between variants
    of_trip: Index  # pattern of each trip

    @classmethod
    def of(cls, network: Network) -> "Lines":
        """Return the facts of ``network``."""
        trips = np.bincount(network.trips.pattern, minlength=len(network.patterns)).astype(np.float64)
        return cls(
            network.patterns.route.astype(np.int64),
            network.patterns.direction.astype(np.int64),
            tuple(np.array(patterns, dtype=np.int64) for patterns in network.patterns_of_route),
            trips / max(trips.max(initial=1.0), 1.0),
            network.trips.pattern.astype(np.int64),
        )

    def patterns(self, route: int, direction: int) -> list[int]:
        """Return the patterns of ``route`` in ``direction``, or all of it where -1 or none goes there."""
        patterns = self.of_route[route]
        if direction >= 0:
            agreed = patterns[(self.direction[patterns] == direction) | (self.direction[patterns] < 0)]
            patterns = agreed if len(agreed) else patterns
        return [int(pattern) for pattern in patterns]


def choose(
    fleet: Fleet, geometry: Geometry, lines: Lines, fit: Fit, step: Step, parameters: Parameters
) -> tuple[Index, Index]:
    """Return ``(at, slot)``: which vehicles of ``step``, by number, should believe another hypothesis than before."""
    vehicle = step.vehicle
    pattern = fleet.guess_pattern[vehicle]
    active = pattern >= 0
    now = fleet.slot[vehicle]
    agrees = _agrees(fleet, lines, vehicle, pattern)
    odds = np.where(active, fleet.guess_odds[vehicle], -np.inf)
    liked = odds + 1e-3 * lines.popularity[pattern] + parameters.odds_told * agrees
    liked += 1.0 * (lines.route[pattern] == fleet.last_route[vehicle][:, None])
    at = np.arange(len(vehicle))
    held = now >= 0
    doubtful = fleet.guess_midway[vehicle[held], now[held]] > 0
    liked[at[held], now[held]] += np.where(doubtful, -parameters.midway_odds, parameters.odds_hysteresis)
    # what the timetable says can only speak against a hypothesis: the others need not be asked
    open_ = np.flatnonzero(active.any(axis=1) & (liked.argmax(axis=1) != now))
    if not len(open_):
        return open_, open_
    vehicle, pattern, active, now = vehicle[open_], pattern[open_], active[open_], now[open_]
    agrees, odds, liked, at = agrees[open_], odds[open_], liked[open_], np.arange(len(open_))
    present = np.arange(active.shape[1]) == now[:, None]
    by_trip = agrees & (fleet.hint_trip[vehicle] >= 0)[:, None]
    against, served = _against(fleet, fit, vehicle, step.fix_ms[open_], active & ~present & ~by_trip, parameters)
    active &= served
    share = fleet.guess_offset_m[vehicle] / geometry.length_m[pattern]
    liked = np.where(active, liked - against - parameters.unseen_odds * share, -np.inf)
    best = liked.argmax(axis=1)
    best_pattern = np.maximum(pattern[at, best], 0)
    rival = active & (
        (lines.route[pattern] != lines.route[best_pattern][:, None])
        | (lines.direction[pattern] != lines.direction[best_pattern][:, None])
    )
    lead = np.where(active[at, best], liked[at, best], 0.0) - np.where(rival, liked, -np.inf).max(axis=1)
    given = agrees[at, best]
    trip_given = given & (fleet.hint_trip[vehicle] >= 0)
    direction_given = trip_given | (given & (fleet.hint_direction[vehicle] >= 0))
    told = (fleet.hint_trip[vehicle] >= 0) | (fleet.hint_route[vehicle] >= 0)
    first_m = geometry.offset_m[geometry.first[best_pattern]]
    waiting = fleet.guess_offset_m[vehicle, best] <= first_m + parameters.departed_m
    midway = fleet.guess_midway[vehicle, best] > 0
    needed_m = np.where(midway, parameters.progress_midway_m, parameters.progress_min_m)
    needed_m = np.where(told, parameters.progress_astray_m, needed_m)
    needed_m = np.where(given, parameters.progress_hinted_m, needed_m)
    needed_m = np.where(trip_given | (direction_given & waiting), -np.inf, needed_m)
    progress_m = fleet.guess_progress_m[vehicle, best]
    enough = np.where(trip_given, 0.3, np.where(direction_given & waiting, -0.1, parameters.odds_assign))
    chosen = active[at, best] & (best != now) & (progress_m >= needed_m) & (odds[at, best] >= enough)
    chosen &= waiting | ~_parked(fleet, vehicle, parameters)
    empty = chosen & ~told & drives_empty(fleet, fit, vehicle, best, parameters)
    doubt(fleet, vehicle[empty], best[empty])
    chosen &= trip_given | ~empty & _leads(lead, progress_m, parameters)
    chosen &= trip_given | (fleet.guess_gap_m[vehicle, best] <= parameters.candidate_m)
    chosen &= given | ~midway | _serves(fleet, fit, vehicle, best, parameters)
    return open_[chosen], best[chosen]


def _leads(lead: Floats, progress_m: Floats, parameters: Parameters) -> Bools:
    """Return which hypotheses lead clearly enough: the longer a vehicle has followed a line, the less it takes."""
    share = np.clip(progress_m / parameters.lead_long_m, 0.0, 1.0)
    return np.asarray(lead >= parameters.odds_lead + share * (parameters.lead_least - parameters.odds_lead))


def _parked(fleet: Fleet, vehicle: Index, parameters: Parameters) -> Bools:
    """Return which vehicles stand for longer than any bus in service does."""
    stood_ms = fleet.fix_ms[vehicle] - fleet.moved_ms[vehicle]
    return np.asarray(stood_ms >= 1000 * parameters.parked_anywhere_s)


def drives_empty(fleet: Fleet, fit: Fit, vehicle: Index, slot: Index, parameters: Parameters) -> Bools:
    """Return which vehicles followed the line of ``slot`` as fast as only buses do that pass its stops.

    It takes longer to say so of a line that the vehicle is believed to be on.
    """
    since_s, planned_s, stops = _driven(fleet, fit, vehicle, slot)
    believed = fleet.slot[vehicle] == slot
    needed_s = np.where(believed, parameters.pace_empty_long_s, parameters.pace_empty_s)
    known = (planned_s >= needed_s) & (stops >= parameters.stops_midway)
    return np.asarray(known & (since_s < parameters.pace_empty * planned_s))


def _serves(fleet: Fleet, fit: Fit, vehicle: Index, slot: Index, parameters: Parameters) -> Bools:
    """Return which vehicles passed stops, no quicker than planned, since they were found on the line of ``slot``."""
    since_s, planned_s, stops = _driven(fleet, fit, vehicle, slot)
    return np.asarray((stops >= parameters.stops_midway) & (since_s >= parameters.pace_midway * planned_s))


def _driven(fleet: Fleet, fit: Fit, vehicle: Index, slot: Index) -> tuple[Floats, Floats, Index]:
    """Return the seconds since the vehicles were found on the line of ``slot``, as planned, and the stops passed."""
    since_s = (fleet.fix_ms[vehicle] - fleet.guess_born_ms[vehicle, slot]) / 1000
    pattern, born_m = fleet.guess_pattern[vehicle, slot], fleet.guess_born_m[vehicle, slot]
    offset_m = fleet.guess_offset_m[vehicle, slot]
    return since_s, *fit.planned_s(pattern, born_m, offset_m, fleet.fix_ms[vehicle])


def doubt(fleet: Fleet, vehicle: Index, slot: Index) -> None:
    """Hold ``slot`` for a line that the vehicle only happens to be on, until it has followed it for long from here."""
    fleet.guess_midway[vehicle, slot], fleet.guess_progress_m[vehicle, slot] = 1, 0.0
    fleet.guess_born_ms[vehicle, slot] = fleet.fix_ms[vehicle]
    fleet.guess_born_m[vehicle, slot] = fleet.guess_offset_m[vehicle, slot]


def note_astray(fleet: Fleet, lines: Lines, step: Step) -> None:
    """Keep how far each vehicle drove since what the feed says of it was last credible."""
    vehicle = step.vehicle
    told = (fleet.hint_trip[vehicle] >= 0) | (fleet.hint_route[vehicle] >= 0)
    pattern = fleet.guess_pattern[vehicle]
    credible = (_agrees(fleet, lines, vehicle, pattern) & (fleet.guess_odds[vehicle] > 0.0)).any(axis=1)
    fleet.astray_m[vehicle] = np.where(told & ~credible, fleet.astray_m[vehicle] + step.moved_m, 0.0)


def _agrees(fleet: Fleet, lines: Lines, vehicle: Index, pattern: Index) -> Bools:
    """Return which hypotheses are what the feed says: its trip's pattern, or its route and direction."""
    trip = fleet.hint_trip[vehicle]
    agrees = np.where(trip >= 0, lines.of_trip[trip], -2)[:, None] == pattern
    without = np.flatnonzero(trip < 0)
    if len(without):
        row, pattern = vehicle[without], pattern[without]
        route, direction = fleet.hint_route[row][:, None], fleet.hint_direction[row][:, None]
        same_way = (direction < 0) | (lines.direction[pattern] == direction)
        agrees[without] = (pattern >= 0) & (lines.route[pattern] == route) & same_way
    return np.asarray(agrees, dtype=np.bool_)


def _against(
    fleet: Fleet, fit: Fit, vehicle: Index, fix_ms: Index, asked: Bools, parameters: Parameters
) -> tuple[Floats, Bools]:
    """Return by how much the timetable speaks against the hypotheses that are ``asked``, and which it allows at all."""
    against, served = np.zeros(asked.shape), np.ones(asked.shape, dtype=np.bool_)
    who, slot = np.nonzero(asked)
    row = vehicle[who]
    pattern, offset_m = fleet.guess_pattern[row, slot], fleet.guess_offset_m[row, slot]
    cost_s = fit.cost_s(pattern, offset_m, fix_ms[who], fit.taken(fleet))
    unserved = ~np.isfinite(cost_s)
    told = fleet.hint_route[row] >= 0
    against[who, slot] = np.minimum(np.where(unserved, np.inf, cost_s) / parameters.fit_s, parameters.fit_max)
    against[who, slot] += parameters.midway_odds * fleet.guess_midway[row, slot]
    served[who, slot] = ~unserved | told
    return against, served
