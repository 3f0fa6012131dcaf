"""Decide which reports move a live vehicle; each other report is refused with its reason.

Works on one round: at most one report per vehicle, in order of fix time (``tracker`` makes the rounds), so that each is
judged against what the vehicle said before. Reasons and their order of precedence: ``outcomes.Rejection``.
"""

import numpy as np
import numpy.typing as npt

from transit.model import PositionBatch
from transit.outcomes import Rejection
from transit.tracking.fleet import Fleet
from transit.tracking.parameters import Parameters

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

REASONS = tuple(Rejection)
ACCEPTED = -1


def refuse_alone(batch: PositionBatch, parameters: Parameters) -> Index:
    """Return, per report, the number in ``REASONS`` of what is wrong with it by itself, or ``ACCEPTED``."""
    lat, lon, fix_ms, received_ms = batch.lat, batch.lon, batch.fix_ms, batch.received_ms
    known = np.isfinite(lat) & np.isfinite(lon) & (np.abs(lat) <= 90) & (np.abs(lon) <= 180)
    verdict = np.full(len(batch), ACCEPTED, dtype=np.int64)
    for reason, wrong in (
        (Rejection.STALE, received_ms - fix_ms > parameters.stale_max_s * 1000),
        (Rejection.ARCHIVED, batch.archived),
        (Rejection.BAD_CLOCK, fix_ms - received_ms > parameters.future_max_s * 1000),
        (Rejection.NO_PLACE, ~known | ((lat == 0) & (lon == 0))),
    ):
        verdict[wrong] = REASONS.index(reason)
    return verdict


def far_away(x: Floats, y: Floats, bounds: tuple[float, float, float, float], parameters: Parameters) -> Bools:
    """Return which places are nowhere near the network."""
    reach = parameters.surroundings_m
    inside = (x > bounds[0] - reach) & (x < bounds[2] + reach) & (y > bounds[1] - reach) & (y < bounds[3] + reach)
    return np.asarray(~inside, dtype=np.bool_)


def refuse_after(fleet: Fleet, vehicle: Index, fix_ms: Index, x: Floats, y: Floats, parameters: Parameters) -> Index:
    """Return what is wrong with each report after what its vehicle said before, or ``ACCEPTED``; counts jumps."""
    last_ms = fleet.fix_ms[vehicle]
    known = last_ms > 0
    gap_s = (fix_ms - last_ms) / 1000
    moved_m = np.hypot(x - fleet.x[vehicle], y - fleet.y[vehicle])
    repeated = known & (gap_s == 0)
    earlier = known & (gap_s < 0)
    jump = known & (gap_s > 0) & (moved_m > parameters.jump_free_m + parameters.jump_speed_mps * gap_s)
    fleet.jumps[vehicle] = np.where(
        jump, fleet.jumps[vehicle] + 1, np.where(repeated | earlier, fleet.jumps[vehicle], 0)
    )
    believed = fleet.jumps[vehicle] >= parameters.jumps_until_believed
    fleet.jumps[vehicle[jump & believed]] = 0
    verdict = np.full(len(vehicle), ACCEPTED, dtype=np.int64)
    verdict[jump & ~believed] = REASONS.index(Rejection.JUMP)
    verdict[earlier] = REASONS.index(Rejection.OUT_OF_ORDER)
    verdict[repeated] = REASONS.index(Rejection.REPEATED)
    return verdict
