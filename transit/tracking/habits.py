"""At which minutes of the day buses leave a first stop, learned from past days.

Drivers without a published timetable have one all the same: they leave at the same minutes each day. Each departure
that past days let expect is taken by one bus: by one that has left about then, else by those that wait, first come
first served. How many of them are really taken while somebody waits is watched, place by place: where waiting buses let
departures go by, or others take them, the next one says less.
"""

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from transit.tracking.fleet import Fleet, LinkMemory
from transit.tracking.learned import HABIT_DAYS, MINUTES, LearnedTimes, day_kind
from transit.tracking.parameters import Parameters

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BIN_S: Final = 30.0
BEHIND_BINS: Final = 32  # departures expected longer ago do not come any more
AHEAD_BINS: Final = 120
EDGES: Final = np.arange(-BEHIND_BINS, AHEAD_BINS + 1, dtype=np.float64)
QUANTILES: Final = (0.1, 0.5, 0.9)
SEEN_SHARE: Final = 0.9  # of the departures of past days: some are not observed (0.85 to 0.95: 1 s of error apart)
REACH_BINS: Final = 16  # a departure at most so much before or after the expected minute was that one
OVERDUE_HALF_S: Final = 180.0  # a departure overdue for so long is half given up …
OVERDUE_BINS: Final = 6  # … and what is left of it may come within this
FLOOR: Final = 0.05  # of the mean rate within the hour: buses also leave when none left before
HOUR_FLOOR: Final = 0.2  # likewise, where only the hour counts
LEAST: Final = 0.5  # departures expected within the hour: with less, past days say nothing of this one
KEPT_LEAN: Final = 4.0  # departures: all are thought to be taken until about that many were watched
KEPT_HALF: Final = 60.0  # departures: what was watched so many before counts half
WATCH_MAX_MS: Final = 120_000  # after a longer pause nobody knows who waited


class Habits:
    """Departures that recur, by number of the place; what is observed today is in ``LinkMemory``."""

    def __init__(self, place_of_pattern: Index, time_zone: str, parameters: Parameters) -> None:
        self._of_pattern, self._zone = place_of_pattern, ZoneInfo(time_zone)
        self._heard_ms = round(1000 * parameters.stale_s)
        self._learned: LearnedTimes | None = None

    def adopt(self, learned: LearnedTimes) -> None:
        """Let ``learned`` say when departures recur."""
        self._learned = learned

    def _known(self, now_ms: int) -> LearnedTimes | None:
        """Return what says when departures recur on such days; one alone does not, nor do others' kinds."""
        if self._learned is None:
            return None
        kind = day_kind(dt.datetime.fromtimestamp(now_ms / 1000, self._zone).date())
        return self._learned if self._learned.start_days[kind] >= HABIT_DAYS else None

    def note(self, memory: LinkMemory, place: Index, when_ms: Index, waited: Bools) -> None:
        """Take in departures, in order of time; ``waited``: of a bus that was seen to wait."""
        np.add.at(memory.habit_kept[0], place[waited], 1.0)
        for at, left_ms in zip(place.tolist(), when_ms.tolist(), strict=True):
            memory.left_ms[at] = np.append(memory.left_ms[at, 1:], left_ms)

    def watch(self, fleet: Fleet, since_ms: int, now_ms: int) -> None:
        """Keep how many departures were expected between these moments where somebody waited for them."""
        learned = self._known(now_ms)
        if learned is None or not 0 < now_ms - since_ms <= WATCH_MAX_MS:
            return
        _, place = self._queue(fleet, now_ms)
        places = np.unique(place)
        edges_s = np.array([(since_ms - now_ms) / 1000, 0.0])
        due = self._recurring(learned, places, now_ms, edges_s)[:, 0]
        fleet.links.habit_kept[:, places] *= 0.5 ** (due / KEPT_HALF)
        fleet.links.habit_kept[1, places] += due

    def expect(self, fleet: Fleet, vehicle: Index, now_ms: int) -> Floats:
        """Return ``[3, n]``: p10, median and p90 of when each vehicle leaves; NaN where past days do not tell."""
        learned = self._known(now_ms)
        if learned is None or not len(vehicle):
            return np.full((3, len(vehicle)), np.nan)
        places, of_vehicle = np.unique(self._of_pattern[fleet.run_pattern[vehicle, 0]], return_inverse=True)
        rate = self._still_expected(fleet.links, learned, places, now_ms)
        queue, waiting_at = self._queue(fleet, now_ms)
        here = np.isin(waiting_at, places)
        queue, place = queue[here], np.searchsorted(places, waiting_at[here])
        turn = np.arange(len(queue)) - np.searchsorted(place, place)
        turns = int(turn.max(initial=0)) + 1
        summed = np.zeros((turns, len(places), AHEAD_BINS))
        for this in range(turns):
            summed[this] = np.cumsum(rate, axis=1)
            taken = np.diff(np.minimum(summed[this], 1.0), axis=1, prepend=0.0)
            somebody = np.isin(np.arange(len(places)), place[turn == this])
            rate = rate - taken * somebody[:, None]
        turn_of = np.full(len(fleet), turns - 1)  # a vehicle too long unheard is in no queue
        turn_of[queue] = turn
        mine = summed[turn_of[vehicle], of_vehicle.reshape(-1)]
        found = now_ms + 1000 * BIN_S * np.stack([_first_at(mine, quantile) for quantile in QUANTILES])
        return np.where(mine[:, -1] >= LEAST, found, np.nan)

    def weigh_stays(self, place: Index, since_ms: Floats, stays: Floats, now_ms: int) -> Floats:
        """Return quantiles of departures by ``stays``, how likely each length is by place, and when others left at all.

        Buses that stay on see the hours go by: at some of them, on any kind of day, more leave than at others.
        """
        if self._learned is None or not len(place):
            return np.full((3, len(place)), np.nan)
        rate = self._recurring(self._learned, place, now_ms, BIN_S * EDGES[BEHIND_BINS:])
        rate += HOUR_FLOOR * rate.mean(axis=1, keepdims=True) + 1e-6
        stood = ((now_ms - since_ms) / 1000 / BIN_S)[:, None] + np.arange(AHEAD_BINS)
        bins = np.minimum(stood, stays.shape[1] - 1).astype(np.int64)
        summed = np.cumsum(rate * np.take_along_axis(stays, bins, axis=1), axis=1)
        summed /= summed[:, -1:]
        return now_ms + 1000 * BIN_S * np.stack([_first_at(summed, quantile) for quantile in QUANTILES])

    def median_ms(self, memory: LinkMemory, place: Index, now_ms: int) -> float:
        """Return when the first bus waiting at ``place``, one number, would be expected to leave; NaN for unknown."""
        learned = self._known(now_ms)
        if learned is None:
            return np.nan
        summed = np.cumsum(self._still_expected(memory, learned, place, now_ms), axis=1)
        return float(now_ms + 1000 * BIN_S * _first_at(summed, 0.5)[0]) if summed[0, -1] >= LEAST else np.nan

    def _still_expected(self, memory: LinkMemory, learned: LearnedTimes, places: Index, now_ms: int) -> Floats:
        """Return how many departures are expected in each bin from now on, without those that have been made."""
        expected = self._recurring(learned, places, now_ms, BIN_S * EDGES)
        usual = expected[:, BEHIND_BINS:].mean(axis=1, keepdims=True)
        gone = np.floor((memory.left_ms[places] - now_ms) / (1000 * BIN_S)).astype(np.int64) + BEHIND_BINS
        bins = np.arange(BEHIND_BINS + AHEAD_BINS)
        for one, when in zip(expected, gone, strict=True):
            for left in when[(when >= 0) & (when < BEHIND_BINS)].tolist():
                nearest = np.argsort(np.abs(bins - left), kind="stable")[: 2 * REACH_BINS + 1]
                before = np.cumsum(one[nearest]) - one[nearest]
                one[nearest] -= np.minimum(one[nearest], np.maximum(1.0 - before, 0.0))
        age_s = BIN_S * (BEHIND_BINS - 0.5 - np.arange(BEHIND_BINS))
        overdue = (expected[:, :BEHIND_BINS] * 0.5 ** (age_s / OVERDUE_HALF_S)).sum(axis=1, keepdims=True)
        ahead = expected[:, BEHIND_BINS:] + FLOOR * usual
        ahead[:, :OVERDUE_BINS] += overdue / OVERDUE_BINS
        kept, due = memory.habit_kept[:, places]
        return np.asarray(ahead * np.minimum((kept + KEPT_LEAN) / (due + KEPT_LEAN), 1.0)[:, None])

    def _recurring(self, learned: LearnedTimes, places: Index, now_ms: int, edges_s: Floats) -> Floats:
        """Return how many departures past days had between ``edges_s`` from this time of the day on, by place."""
        local = dt.datetime.fromtimestamp(now_ms / 1000, self._zone)
        edges = 60 * local.hour + local.minute + local.second / 60 + edges_s / 60
        three_days = [learned.left[day_kind(local.date() + dt.timedelta(days=day)), places] for day in (-1, 0, 1)]
        so_far = np.cumsum([np.zeros(len(places)), *(day[:, -1] for day in three_days)], axis=0)
        habit = np.concatenate([so_far[i][:, None] + day[:, :-1] for i, day in enumerate(three_days)], axis=1)
        grid = np.arange(habit.shape[1]) - MINUTES
        found = np.stack([np.interp(edges, grid, one) for one in habit]) if len(places) else np.zeros((0, len(edges)))
        return np.asarray(np.diff(found, axis=1) / SEEN_SHARE)

    def _queue(self, fleet: Fleet, now_ms: int) -> tuple[Index, Index]:
        """Return all vehicles that wait without a told run, and at which place, by place and order of arrival."""
        count = len(fleet)
        waits = (fleet.slot[:count] >= 0) & (fleet.departed[:count] == 0) & (fleet.hint_trip[:count] < 0)
        waits &= now_ms - fleet.fix_ms[:count] <= self._heard_ms
        queue = np.flatnonzero(waits)
        place = self._of_pattern[fleet.run_pattern[queue, 0]]
        order = np.lexsort((queue, fleet.entered_ms[queue], place))
        return queue[order], place[order]


def _first_at(summed: Floats, quantile: float) -> Floats:
    """Return the bin, with its fraction, in which each row of cumulative sums reaches ``quantile``."""
    bins = summed.shape[1]
    at = (summed < quantile).sum(axis=1)
    last = np.minimum(at, bins - 1)
    who = np.arange(len(summed))
    before = np.where(last > 0, summed[who, last - 1], 0.0)
    inside = (quantile - before) / np.maximum(summed[who, last] - before, 1e-12)
    return np.where(at < bins, at + np.clip(inside, 0.0, 1.0), float(bins))
