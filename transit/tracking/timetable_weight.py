"""How much the timetable says beside what the links say, learned from what happened.

Drivers who are predicted to run ahead of their time wait for it somewhere, and those who are late make up or lose more;
how much, differs from city to city. For each time ahead, and for early and late apart, the deviation from the plan that
really happened is regressed on the one predicted: 1, the plan says nothing; 0, it says everything (a combination of
forecasts: Bates and Granger, 1969). Runs that were told and runs that were guessed learn apart, and so does each route,
leaning on the network: one is held to its times, another is driven by headway.
"""

import numpy as np
import numpy.typing as npt

from transit.tracking.fleet import LEADS, Fleet
from transit.tracking.said import LEADS_S

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

OFF_MAX_S = 600.0  # a vehicle further off its plan is on another one: the plan says nothing of it
ASSUMED_S2 = 3e7  # squared seconds of evidence that the assumption "the plan says nothing" is worth: thirty runs
ROUTE_LEAN_S2 = 1e7  # likewise what the network shows, for a route: ten runs


def weigh_timetable(
    fleet: Fleet, vehicle: Index, route: Index, arrival_ms: Floats, planned_ms: Floats, now_ms: int
) -> Floats:
    """Return ``arrival_ms`` drawn to ``planned_ms``, as far as that proved right; NaN: without timetable."""
    late_s = (arrival_ms - planned_ms) / 1000
    timed = np.isfinite(late_s)
    if not timed.any():
        return arrival_ms
    sums = fleet.links.followed
    everywhere = sums.sum(axis=0)
    share = (everywhere[..., 0] + ASSUMED_S2) / (everywhere[..., 1] + ASSUMED_S2)
    share = np.clip((sums[..., 0] + ROUTE_LEAN_S2 * share) / (sums[..., 1] + ROUTE_LEAN_S2), 0.0, 1.0).ravel()
    place = np.interp((arrival_ms - now_ms) / 1000, LEADS_S, np.arange(LEADS))
    low = np.minimum(place.astype(np.int64), LEADS - 2)
    part = place - low
    told = fleet.hint_trip[vehicle] >= 0
    cell = ((2 * route + told) * 2 + (late_s > 0)) * LEADS + low
    kept = (1.0 - part) * share[cell] + part * share[cell + 1]
    near_s = np.clip(late_s, -OFF_MAX_S, OFF_MAX_S)
    return np.where(timed, arrival_ms + 1000.0 * (kept - 1.0) * near_s, arrival_ms)


def learn_weights(sums: Floats, outcomes: dict[str, Floats]) -> None:
    """Add ``outcomes`` to the regression ``sums`` [routes, guessed or told, early or late, leads, (xy, xx)]."""
    said_s, was_s = outcomes["said_late_s"], outcomes["was_late_s"]
    known = np.isfinite(said_s) & (np.abs(said_s) <= OFF_MAX_S) & (np.abs(was_s) <= 2 * OFF_MAX_S)
    said_s, was_s = said_s[known], was_s[known]
    at = (
        outcomes["route"][known].astype(np.int64),
        outcomes["told"][known].astype(np.int64),
        (said_s > 0).astype(np.int64),
        outcomes["lead"][known].astype(np.int64),
    )
    np.add.at(sums[..., 0], at, said_s * was_s)
    np.add.at(sums[..., 1], at, said_s * said_s)
