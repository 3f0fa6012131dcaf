"""The yardstick: replay a recording, judge what was said beside baselines and other systems, return figures."""

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from gtfs_data.network import Network
from transit.accuracy.assignment import Assignment
from transit.accuracy.baselines import Baseline, Baselines
from transit.accuracy.days import date, day_of, number, of_days
from transit.accuracy.figures import Figures, figures
from transit.accuracy.forecasts import Forecasts, Index, InputError, Kept, Names
from transit.accuracy.judge import judge, once_each
from transit.accuracy.passings import Observed
from transit.accuracy.recording import Recording
from transit.accuracy.replay import replay
from transit.accuracy.tracks import Tracks

OURS: Final = "ayaldama"


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What ``ayaldama evaluate --json`` writes. ``systems``: ours first, then the baselines, then those compared."""

    agency: str
    time_zone: str
    test_days: list[str]
    train_days: list[str]  # empty: each day of test is learned for from the days before it
    every_s: int
    reports: int
    vehicles: int
    passings: int  # observed on the days of test, with arrival
    passings_from: str  # the file, or "recording" where they were derived from the positions themselves
    systems: list[Figures]
    assignment: Assignment | None = None  # where the recording is labelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Days of service to learn from and to judge; ``train`` may be empty."""

    train: Index
    test: Index


def chosen_days(
    recording: Recording, zone: str, train: Collection[dt.date] | None, test: Collection[dt.date] | None
) -> Days:
    """Return the days asked for; without ``test`` all that were recorded, but those to learn from.

    Raises:
        InputError: if nothing was recorded on one of them, or one is asked for twice.
    """
    recorded = np.unique(day_of(recording.batch.fix_ms, zone))
    span = f"{date(int(recorded[0]))} to {date(int(recorded[-1]))}"
    for option, dates in (("--train", train), ("--test", test)):
        for one in sorted(dates or ()):
            if number(one) not in recorded:
                raise InputError(
                    f"{option}: {one} must be a day of the recording, which has {span} (a day begins at 3:00)"
                )
    both = set(train or ()) & set(test or ())
    if both:
        raise InputError(f"--test: {min(both)} must not be learned from as well (--train)")
    learned = np.array(sorted(number(one) for one in train or ()), dtype=np.int64)
    judged = np.array(sorted(number(one) for one in test or ()), dtype=np.int64)
    if not len(judged):
        judged = np.setdiff1d(recorded, learned).astype(np.int64)
    if not len(judged):
        raise InputError("--train: all days of the recording are learned from, none is left to judge")
    return Days(train=learned, test=judged)


def recorded_for(recording: Recording, days: Days, zone: str) -> Recording:
    """Return what is replayed: the days learned from and those judged, or everything up to the last day judged."""
    of_fixes = np.unique(day_of(recording.batch.fix_ms, zone))
    wanted = np.union1d(days.train, days.test) if len(days.train) else of_fixes[of_fixes <= days.test[-1]]
    return of_days(recording, [int(day) for day in wanted], zone)


def own_forecasts(
    network: Network, recording: Recording, names: Names, *, every_s: int, progress: Callable[[int], None] | None = None
) -> Forecasts:
    """Return what our own engine says, replayed over ``recording``."""
    kept = Kept(names)
    replay(network, recording, every_s=every_s, sink=kept, progress=progress)
    return kept.forecasts()


def judged_systems(
    network: Network,
    recording: Recording,
    observed: Observed,
    names: Names,
    days: Days,
    *,
    every_s: int,
    ours: Forecasts,
    others: Mapping[str, Forecasts],
) -> Iterator[Figures]:
    """Yield the figures of our engine, of each baseline that the feed allows, and of ``others``, one at a time."""
    tracks = Tracks(recording, network, names)
    baselines = Baselines(network, observed.passings, every_ms=1000 * every_s)

    def said() -> Iterator[tuple[str, Forecasts | None]]:
        yield OURS, ours
        for kind in Baseline:
            yield kind.value, baselines.forecasts(kind, days.test, days.train)
        yield from others.items()

    for name, forecasts in said():
        if forecasts is None:
            continue
        tested = forecasts.take(np.isin(day_of(forecasts.made_ms, network.time_zone), days.test))
        if name not in {OURS, *Baseline}:
            if not len(tested):
                raise InputError(f"{name}: made_at: no prediction was made on the days of test")
            tested = once_each(tested, 1000 * every_s)
        yield figures(name, judge(tested, observed, tracks), network, days.test)
