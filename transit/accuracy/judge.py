"""Join predictions to what really happened.

A prediction belongs to the first passing of its vehicle at its stop (same direction, where all predictions give one) at
or after half a minute before it was made, within 90 minutes. Where a run meets a stop twice, the sequence must agree
too. It is not judged where the truth has a hole nearer to the predicted time than that passing; it is ``PASSED`` when
the nearest passing lies up to 15 minutes back; a passing more than half an hour later than predicted is the next round.
With none of these it is a ``PHANTOM`` if the vehicle was heard of until 20 minutes after the predicted time and never
came within 150 m of the stop, else ``UNKNOWN``. Only predictions from -30 s to 30 minutes ahead count.
"""

import enum
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from transit.accuracy.bins import AHEAD_MAX_S, AHEAD_MIN_S
from transit.accuracy.forecasts import NONE, Forecasts, Index
from transit.accuracy.passings import Holes, Observed, Passings
from transit.accuracy.tracks import Tracks

SLACK_MS: Final = 30_000
WITHIN_MS: Final = 5_400_000
PASSED_MS: Final = 900_000
HOLE_MS: Final = 1_200_000
NEXT_ROUND_MS: Final = 1_800_000
SPAN_MS: Final = 1 << 39  # seventeen years: room for every time of one recording under a key
FAR_MS: Final = 1 << 60


class Outcome(enum.IntEnum):
    """What became of a prediction. Names in lower case are those of the report."""

    MATCHED = 0
    PASSED = 1  # the bus had gone by already
    HOLE = 2  # the truth does not say
    PHANTOM = 3  # the bus never came
    UNKNOWN = 4  # the vehicle was lost from sight


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """Predictions in range and what became of each: ``passing`` counts those of ``passings``, -1 where none belongs."""

    given: int  # predictions before those out of range were left out
    forecasts: Forecasts
    outcome: npt.NDArray[np.int8]
    passing: Index
    passings: Passings  # those whose arrival was seen
    foretold: npt.NDArray[np.bool_]  # passings that had a prediction four to six minutes before

    @property
    def matched(self) -> Index:
        """Return the numbers of the predictions that belong to a passing."""
        return np.flatnonzero(self.outcome == Outcome.MATCHED)


def once_each(forecasts: Forecasts, every_ms: int) -> Forecasts:
    """Keep the last prediction of each vehicle, stop and sequence in each ``every_ms``."""
    columns = (
        forecasts.made_ms // every_ms,
        forecasts.sequence,
        forecasts.stop,
        forecasts.direction,
        forecasts.vehicle,
    )
    order = np.lexsort((forecasts.made_ms, *columns))
    last = np.zeros(len(order), dtype=np.bool_)
    last[-1:] = True
    for column in columns:
        sorted_column = column[order]
        last[:-1] |= sorted_column[1:] != sorted_column[:-1]
    return forecasts.take(np.sort(order[last]))


def judge(forecasts: Forecasts, observed: Observed, tracks: Tracks) -> Judged:
    """Say what became of each prediction."""
    given = len(forecasts)
    ahead_ms = forecasts.arrival_ms - forecasts.made_ms
    forecasts = forecasts.take((ahead_ms >= 1000 * AHEAD_MIN_S) & (ahead_ms <= 1000 * AHEAD_MAX_S))
    real = observed.passings.take(observed.passings.arrived)
    real_key, hole_key, key = _keys(real, observed.holes, forecasts)
    begin_ms = (
        min(int(times.min(initial=FAR_MS)) for times in (real.at_ms, observed.holes.at_ms, forecasts.made_ms))
        - WITHIN_MS
    )
    order = np.argsort(real_key + (real.at_ms - begin_ms), kind="stable")
    real, real_key = real.take(order), real_key[order]
    passing, real_off_ms, past_off_ms = _nearest(forecasts, real, real_key, key, begin_ms)
    hole_off_ms = _hole_off(np.sort(hole_key + (observed.holes.at_ms - begin_ms)), key, forecasts.arrival_ms - begin_ms)
    came_ms = np.append(real.at_ms, FAR_MS)[passing]  # -1 takes the last
    hit = (passing != NONE) & (came_ms - forecasts.arrival_ms <= NEXT_ROUND_MS)
    outcome = np.where(hit, Outcome.MATCHED, Outcome.UNKNOWN).astype(np.int8)
    outcome[(past_off_ms < real_off_ms) & (past_off_ms <= hole_off_ms)] = Outcome.PASSED
    outcome[(hole_off_ms < real_off_ms) & (hole_off_ms < past_off_ms)] = Outcome.HOLE
    lost = np.flatnonzero(outcome == Outcome.UNKNOWN)
    of = forecasts.take(lost)
    outcome[lost[tracks.never_came(of.vehicle, of.stop, of.made_ms, of.arrival_ms)]] = Outcome.PHANTOM
    said = np.sort(key + (forecasts.made_ms - begin_ms))
    due = real_key + (real.at_ms - begin_ms)
    foretold = np.searchsorted(said, due - 240_000, "right") > np.searchsorted(said, due - 360_000, "left")
    return Judged(
        given=given,
        forecasts=forecasts,
        outcome=outcome,
        passing=np.where(outcome == Outcome.MATCHED, passing, NONE),
        passings=real,
        foretold=foretold,
    )


def _nearest(
    forecasts: Forecasts, real: Passings, real_key: Index, key: Index, begin_ms: int
) -> tuple[Index, Index, Index]:
    """Return the passing that follows each prediction, how far off it is, and how far off the one before is."""
    since_ms = forecasts.made_ms - begin_ms - SLACK_MS
    after = np.searchsorted(real_key + (real.at_ms - begin_ms), key + since_ms, "left")
    keys, times = np.append(real_key, NONE), np.append(real.at_ms, FAR_MS)
    follows = (keys[after] == key) & (times[after] <= forecasts.made_ms + WITHIN_MS)
    before = after - 1  # -1 takes the entry past the end, whose key is nobody's
    precedes = (keys[before] == key) & (times[before] >= forecasts.made_ms - PASSED_MS)
    arrival_ms = forecasts.arrival_ms
    return (
        np.where(follows, after, NONE),
        np.where(follows, np.abs(arrival_ms - times[after]), FAR_MS),
        np.where(precedes, np.abs(arrival_ms - times[before]), FAR_MS),
    )


def _hole_off(holes: Index, key: Index, arrival_ms: Index) -> Index:
    """Return how far from the predicted time the nearest hole lies, ``FAR_MS`` beyond ``HOLE_MS``."""
    if not len(holes):
        return np.full(len(key), FAR_MS, dtype=np.int64)
    said = key + arrival_ms
    above = np.searchsorted(holes, said)
    off_ms = np.minimum(
        np.abs(holes[np.minimum(above, len(holes) - 1)] - said), np.abs(holes[np.maximum(above - 1, 0)] - said)
    )
    return np.where(off_ms <= HOLE_MS, off_ms, FAR_MS)


def _keys(real: Passings, holes: Holes, forecasts: Forecasts) -> tuple[Index, Index, Index]:
    """Return one number per vehicle, stop and, where it counts, direction and sequence, with room for a time below."""
    directed = len(forecasts) > 0 and bool((forecasts.direction != NONE).all())
    sequenced = bool((forecasts.sequence != NONE).all())
    twice = _met_twice(real) if sequenced else np.zeros(0, dtype=np.int64)
    raw = []
    for of in (real, holes, forecasts):
        sequence = np.where(np.isin(of.stop, twice), of.sequence.astype(np.int64) + 1, 0)
        direction = of.direction.astype(np.int64) + 1 if directed else 0
        raw.append(
            ((of.vehicle.astype(np.int64) << 40) | (of.stop.astype(np.int64) << 18)) + (sequence << 2) + direction
        )
    _, dense = np.unique(np.concatenate(raw), return_inverse=True)
    real_key, hole_key, key = np.split(dense.astype(np.int64) * SPAN_MS, np.cumsum([len(part) for part in raw[:-1]]))
    return real_key, hole_key, key


def _met_twice(real: Passings) -> Index:
    """Return the stops that some run passed at two sequences."""
    met = np.unique(np.stack([real.run, real.stop.astype(np.int64), real.sequence.astype(np.int64)]), axis=1)
    again = (np.diff(met[0]) == 0) & (np.diff(met[1]) == 0)
    return np.unique(met[1, 1:][again])
