"""The figures of one system on one recording, as values that are printed, drawn and written as JSON.

Seconds throughout; errors are actual minus predicted, positive when the bus came later than said; shares in per cent,
None where nothing could be counted.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.accuracy.bins import MBTA, TRANSIT
from transit.accuracy.days import hour_of
from transit.accuracy.forecasts import Floats, Index
from transit.accuracy.judge import Judged, Outcome
from transit.accuracy.verdicts import Verdicts, countdowns, to_foretell, verdicts

_Key = TypeVar("_Key", int, str)

NOMINAL: Final[Sequence[tuple[str, int]]] = (("p10", 10), ("p50", 50), ("p90", 90))


class Errors(msgspec.Struct, frozen=True, kw_only=True):
    """How far off predictions were."""

    n: int
    mae_s: float | None = None
    median_s: float | None = None  # of the size of the error
    p90_s: float | None = None
    bias_s: float | None = None  # positive: buses came later than said
    accurate_pct: float | None = None  # within the bounds of its bin
    covered_pct: float | None = None  # of the passings within p10 to p90
    width_s: float | None = None  # of the interval, on average


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """Of the passings, ``observed_pct`` came no later than the quantile that should hold ``nominal_pct``."""

    name: str
    nominal_pct: float
    observed_pct: float
    by_bin: dict[str, float]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one system. Keys of ``mbta``, ``transit``: minutes ahead; of ``by_hour``: local hour."""

    name: str
    predictions: int
    in_range: int
    outcomes: dict[str, int]
    mbta: dict[str, Errors]
    all: Errors
    transit: dict[str, float | None]
    transit_n: dict[str, int]
    transit_mean_pct: float | None
    interval: Errors
    calibration: list[Level]
    passings: int  # from the third stop on
    foretold_pct: float | None  # of these: with a prediction 4 to 6 minutes before
    passings_under_way: int  # of these: at least six minutes into their run
    foretold_under_way_pct: float | None
    phantom_pct: float | None
    already_passed_pct: float | None
    countdowns: int  # of two predictions or more
    upward_jumps: float | None  # of 60 s or more, per countdown
    by_hour: dict[int, Errors]
    by_route: dict[str, Errors]


def figures(name: str, judged: Judged, network: Network, days: Index) -> Figures:
    """Return the figures of ``judged``; coverage counts the passings of ``days`` (of service)."""
    of = verdicts(judged)

    def errors(which: npt.NDArray[np.bool_] | slice) -> Errors:
        return _errors(of.error_s[which], of.right[which], of.covered[which], of.width_s[which])

    counts = {outcome.name.lower(): int((judged.outcome == outcome).sum()) for outcome in Outcome}
    sure = counts["matched"] + counts["passed"] + counts["phantom"]
    transit, transit_n = _transit(of.error_s, of.really_s)
    known = [share for share in transit.values() if share is not None]
    hour = hour_of(of.forecasts.made_ms, network.time_zone)
    route = judged.passings.route[of.passing]
    counted_down, risen = countdowns(of.passing, of.forecasts.made_ms, of.forecasts.arrival_ms)
    passings, foretold, under_way, foretold_under_way = _foretold(judged, days)
    return Figures(
        name=name,
        predictions=judged.given,
        in_range=len(judged.forecasts),
        outcomes=counts,
        mbta={bounds.name: errors(of.bin_of == number) for number, bounds in enumerate(MBTA)},
        all=errors(slice(None)),
        transit=transit,
        transit_n=transit_n,
        transit_mean_pct=float(np.mean(known)) if known else None,
        interval=errors(np.isfinite(of.width_s)),
        calibration=_calibration(of),
        passings=passings,
        foretold_pct=foretold,
        passings_under_way=under_way,
        foretold_under_way_pct=foretold_under_way,
        phantom_pct=100 * counts["phantom"] / sure if sure else None,
        already_passed_pct=100 * counts["passed"] / sure if sure else None,
        countdowns=len(counted_down),
        upward_jumps=len(risen) / len(counted_down) if len(counted_down) else None,
        by_hour=_each(hour, errors, lambda number: number),
        by_route=_each(route, errors, lambda number: network.routes.short_names[number] or network.routes.ids[number]),
    )


def _errors(error_s: Floats, right: npt.NDArray[np.bool_], covered: npt.NDArray[np.bool_], width_s: Floats) -> Errors:
    if not len(error_s):
        return Errors(n=0)
    size = np.abs(error_s)
    bounded = np.isfinite(width_s)
    return Errors(
        n=len(error_s),
        mae_s=float(size.mean()),
        median_s=float(np.median(size)),
        p90_s=float(np.percentile(size, 90)),
        bias_s=float(error_s.mean()),
        accurate_pct=float(100 * right.mean()),
        covered_pct=float(100 * covered[bounded].mean()) if bounded.any() else None,
        width_s=float(width_s[bounded].mean()) if bounded.any() else None,
    )


def _transit(error_s: Floats, really_s: Floats) -> tuple[dict[str, float | None], dict[str, int]]:
    shares: dict[str, float | None] = {}
    counts: dict[str, int] = {}
    for bounds in TRANSIT:
        error = error_s[(really_s >= bounds.from_s) & (really_s < bounds.to_s)]
        counts[bounds.name] = len(error)
        good = (error >= bounds.early_s) & (error <= bounds.late_s)
        shares[bounds.name] = float(100 * good.mean()) if len(error) else None
    return shares, counts


def _calibration(of: Verdicts) -> list[Level]:
    said = of.forecasts
    bounded = np.isfinite(said.p10_ms) & np.isfinite(said.p90_ms)
    if not bounded.any():
        return []
    bin_of, actual_ms = of.bin_of[bounded], of.actual_ms[bounded]
    levels = []
    for (name, nominal), quantile_ms in zip(NOMINAL, (said.p10_ms, said.arrival_ms, said.p90_ms), strict=True):
        below = actual_ms <= quantile_ms[bounded]
        by_bin = {b.name: float(100 * below[bin_of == i].mean()) for i, b in enumerate(MBTA) if (bin_of == i).any()}
        levels.append(Level(name=name, nominal_pct=nominal, observed_pct=float(100 * below.mean()), by_bin=by_bin))
    return levels


def _foretold(judged: Judged, days: Index) -> tuple[int, float | None, int, float | None]:
    counted, under_way = to_foretell(judged.passings)
    counted, under_way = (which & np.isin(judged.passings.day, days) for which in (counted, under_way))

    def share(which: npt.NDArray[np.bool_]) -> float | None:
        return float(100 * judged.foretold[which].mean()) if which.any() else None

    return int(counted.sum()), share(counted), int(under_way.sum()), share(under_way)


def _each(
    of: npt.NDArray[np.int32], errors: Callable[[npt.NDArray[np.bool_]], Errors], key: Callable[[int], _Key]
) -> dict[_Key, Errors]:
    return {key(number): errors(of == number) for number in np.unique(of).tolist() if number >= 0}
