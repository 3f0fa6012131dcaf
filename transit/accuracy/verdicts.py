"""What each matched prediction was worth, in columns that any figures can be counted from.

Errors are actual minus predicted, in seconds: positive means that the bus came later than said.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from transit.accuracy.bins import MBTA
from transit.accuracy.forecasts import NONE, Floats, Forecasts, Index
from transit.accuracy.judge import Judged
from transit.accuracy.passings import Passings

UPWARD_MS: Final = 60_000
THIRD_STOP: Final = 2  # places are counted from 0
UNDER_WAY_MS: Final = 360_000  # a passing so long after its run began could be foretold by a bus under way


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdicts:
    """One entry for each matched prediction. ``bin_of`` counts ``bins.MBTA``; ``width_s`` is NaN without interval."""

    forecasts: Forecasts
    passing: Index  # number in ``Judged.passings``
    actual_ms: Index
    error_s: Floats
    really_s: Floats  # how far off the bus really was
    bin_of: Index
    right: npt.NDArray[np.bool_]  # within the MBTA's bounds
    covered: npt.NDArray[np.bool_]  # within p10 to p90
    width_s: Floats


def verdicts(judged: Judged) -> Verdicts:
    """Return what each matched prediction of ``judged`` was worth."""
    matched = judged.matched
    of = judged.forecasts.take(matched)
    passing = judged.passing[matched]
    actual_ms = judged.passings.at_ms[passing]
    error_s = (actual_ms - of.arrival_ms) / 1000
    ahead_s = (of.arrival_ms - of.made_ms) / 1000
    right, bin_of = np.zeros(len(error_s), dtype=np.bool_), np.full(len(error_s), NONE)
    for number, bounds in enumerate(MBTA):
        here = (ahead_s >= bounds.from_s) & (ahead_s < bounds.to_s)
        bin_of[here] = number
        right |= here & (error_s > bounds.early_s) & (error_s < bounds.late_s)
    width_s = (of.p90_ms - of.p10_ms) / 1000
    return Verdicts(
        forecasts=of,
        passing=passing,
        actual_ms=actual_ms,
        error_s=error_s,
        really_s=(actual_ms - of.made_ms) / 1000,
        bin_of=bin_of,
        right=right,
        covered=(actual_ms >= of.p10_ms) & (actual_ms <= of.p90_ms),
        width_s=np.where(np.isfinite(width_s), width_s, np.nan),
    )


def countdowns(passing: Index, made_ms: Index, arrival_ms: Index) -> tuple[Index, Index]:
    """Return the passings that two predictions or more lead to, and the passing of each rise of ``UPWARD_MS`` or more.

    A countdown is all the predictions that lead to one passing.
    """
    order = np.lexsort((made_ms, passing))
    same = np.diff(passing[order]) == 0
    rises = same & (np.diff(arrival_ms[order]) >= UPWARD_MS)
    later = passing[order][1:]
    return np.unique(later[same]), later[rises]


def to_foretell(passings: Passings) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which passings should have been foretold, and which of these by a bus that was under way."""
    counted = passings.rank >= THIRD_STOP
    return counted, counted & (passings.at_ms - passings.start_ms >= UNDER_WAY_MS)
