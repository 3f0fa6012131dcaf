"""What was said of each arrival: how it may change, and how true it proved.

Calm: a countdown stands still rather than rises. What is said follows a later estimate at less than the clock's pace,
so that the minutes left never grow by one in a minute; only what nobody should be kept from is said at once. It is held
to what was said at the last of the fixed moments (``moments``), whatever was said in between.

Truth: what was said at fixed times ahead is kept and compared with the passage, in units of the spread assumed then.
Quantiles of these scores are followed for each time ahead, by stochastic approximation (Robbins and Monro, 1951), apart
for vehicles still at their first stop. They turn estimate and assumed spread into p10, p50 and p90 as they really are.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from transit.tracking.fleet import LEADS, LEGS, Fleet
from transit.tracking.lessons import Lessons
from transit.tracking.parameters import Parameters
from transit.tracking.predictions import Predictions
from transit.tracking.ragged import Owners, heads

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

LEADS_S: Final = (60.0, 150.0, 300.0, 540.0, 960.0, 1_500.0)  # how far ahead what was said is judged
EDGES_S: Final = (20.0, 100.0, 220.0, 400.0, 720.0, 1_200.0, 1_800.0)
LEVELS: Final = (0.1, 0.5, 0.9)
ASSUMED: Final = (-1.05, 0.0, 1.45)  # buses are late further than they are early
WORTH: Final = (40.0, 1_000.0, 40.0)  # scores: the assumption counts as this many, that of the median as most …
STEP_MIN: Final = (0.01, 0.0005, 0.01)  # … for scores of one hour err together: a median that follows them overshoots


def settle(fleet: Fleet, predictions: Predictions, now_ms: int, parameters: Parameters) -> Predictions:
    """Return ``predictions`` as they may be said: calm, and with quantiles as they proved."""
    if not len(predictions.vehicle):
        return predictions
    vehicle, leg = predictions.vehicle, predictions.leg
    owners = Owners.within(heads(vehicle * LEGS + leg))
    run = vehicle[owners.begin], leg[owners.begin]
    p10, p50, p90 = _quantiles(fleet, predictions, now_ms)
    same_run = fleet.saying_run[run] == _run_of(fleet, *run)
    said = np.where(owners.each(same_run), fleet.saying_ms.reshape(-1)[predictions.cells(fleet.saying_ms.shape)], 0)
    waited_max_ms = 1000 * parameters.calm_rise_s / parameters.calm_share
    waited_ms = owners.each(np.clip(now_ms - fleet.saying_at_ms[run[0]], 0, waited_max_ms))
    limit = said + parameters.calm_share * waited_ms
    beyond = p50 - limit
    ahead = p50 - now_ms
    forced = beyond > np.maximum(1000 * parameters.calm_max_s, parameters.calm_max_share * ahead)
    held = (said > 0) & (beyond > 0) & ~forced
    calm = np.maximum(np.where(held, limit, p50), now_ms - 1000.0 * parameters.overdue_s)
    calm = owners.max(calm)
    return predictions.said(
        np.rint(calm).astype(np.int64),
        np.rint(np.minimum(np.maximum(p10, now_ms), calm)).astype(np.int64),
        np.rint(np.maximum(p90, calm)).astype(np.int64),
    )


def remember(fleet: Fleet, vehicle: Index, raw: Predictions, settled: Predictions, now_ms: int) -> None:
    """Keep what is said of ``vehicle`` (each once) at this moment, a fixed one, and what it will be judged by."""
    for leg in range(LEGS):
        run = _runs(fleet, vehicle, leg)
        other = fleet.saying_run[vehicle, leg] != run
        fleet.saying_ms[vehicle[other], leg] = 0
        if leg == 0:
            fleet.asked_ms[vehicle[other]] = 0
        fleet.saying_run[vehicle, leg] = run
    fleet.saying_ms[settled.vehicle, settled.leg, settled.place] = settled.arrival_ms
    fleet.saying_at_ms[vehicle] = now_ms
    ahead_s = (raw.arrival_ms - now_ms) / 1000
    lead = np.searchsorted(EDGES_S, ahead_s) - 1
    asked = (raw.leg == 0) & (lead >= 0) & (lead < LEADS)
    at = (raw.vehicle[asked], lead[asked], raw.place[asked])
    new = fleet.asked_ms[at] == 0
    at = (at[0][new], at[1][new], at[2][new])
    fleet.asked_ms[at] = raw.arrival_ms[asked][new]
    fleet.asked_drawn_s[at] = (raw.arrival_ms - raw.plain_ms)[asked][new] / 1000
    fleet.asked_spread_ms[at] = np.where(raw.waiting[asked], -raw.spread_ms[asked], raw.spread_ms[asked])[new]


def judge(
    fleet: Fleet, outcomes: Lessons, vehicle: Index, route: Index, place: Index, arrival_ms: Index, planned_ms: Floats
) -> None:
    """Note how true proved what was said of passages at stop number ``place`` of the run under way, on ``route``."""
    asked = fleet.asked_ms[vehicle, :, place]
    who, lead = np.nonzero(asked)
    spread = fleet.asked_spread_ms[vehicle[who], lead, place[who]]
    outcomes.add(
        when_ms=arrival_ms[who],
        vehicle=vehicle[who],
        lead=lead,
        route=route[who],
        waiting=spread < 0,
        told=fleet.hint_trip[vehicle[who]] >= 0,
        said_late_s=(asked[who, lead] - planned_ms[who]) / 1000 - fleet.asked_drawn_s[vehicle[who], lead, place[who]],
        was_late_s=(arrival_ms - planned_ms)[who] / 1000,
        score=(arrival_ms[who] - asked[who, lead]) / np.maximum(np.abs(spread), 1.0),
    )
    fleet.asked_ms[vehicle, :, place] = 0


def calibrate(shifts: Floats, counts: Floats, outcomes: dict[str, Floats]) -> None:
    """Let ``shifts`` [2, leads, levels] of the assumed quantiles, known by ``counts`` outcomes, follow new ones."""
    waiting, lead = (outcomes[name].astype(np.int64).tolist() for name in ("waiting", "lead"))
    known, moved = counts.tolist(), shifts.tolist()  # numbers, not arrays: each score waits for the one before
    for kind, at, score in zip(waiting, lead, outcomes["score"].tolist(), strict=True):
        known[kind][at] += 1
        mine = moved[kind][at]
        for i, (level, assumed, worth, least) in enumerate(zip(LEVELS, ASSUMED, WORTH, STEP_MIN, strict=True)):
            step = max(1.0 / (known[kind][at] + worth), least)
            mine[i] += step * (level - (score < assumed + mine[i]))
    counts[...], shifts[...] = known, moved


def _quantiles(fleet: Fleet, predictions: Predictions, now_ms: int) -> list[Floats]:
    ahead_s = (predictions.arrival_ms - now_ms) / 1000
    place = np.interp(ahead_s, LEADS_S, np.arange(LEADS))
    low = np.minimum(place.astype(np.int64), LEADS - 2)
    share = place - low
    rest = 1 - share
    at = predictions.waiting * LEADS + low
    found = []
    for assumed, shifts in zip(ASSUMED, np.moveaxis(fleet.links.shifts, -1, 0), strict=True):
        scores = (assumed + shifts).ravel()
        score = rest * scores[at] + share * scores[at + 1]
        found.append(predictions.arrival_ms + score * predictions.spread_ms)
    return found


def _runs(fleet: Fleet, vehicle: Index, leg: int) -> Index:
    return _run_of(fleet, vehicle, np.full(len(vehicle), leg, dtype=np.int64))


def _run_of(fleet: Fleet, vehicle: Index, leg: Index) -> Index:
    """Return a number that tells the runs of one vehicle apart; -1 for none."""
    pattern = fleet.run_pattern[vehicle, leg]
    run = fleet.run_start_ms[vehicle, leg] * 1_000_003 + (fleet.run_trip[vehicle, leg] + 1) * 4_099 + pattern
    return np.where(pattern >= 0, np.abs(run), -1)
