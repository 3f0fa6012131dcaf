"""What past days taught about running times: per link, half-hour of the day and kind of day, smoothed.

A link is an ordered pair of stops. Its time at an hour is drawn from what was observed near that hour, and where that
is little, from the link's own mean times what that hour does to the whole network, and where that is little too, from
the timetable (shrinkage towards the parent, as in empirical Bayes: Efron and Morris, 1975).
"""

import datetime as dt
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

SLOTS: Final = 48  # half-hours
DAY_KINDS: Final = 3  # working day, Saturday, Sunday
SLOT_S: Final = 86_400 / SLOTS
KERNEL_H: Final = 0.5  # one sigma of how far an hour's traffic speaks for its neighbours
SMOOTH_WEIGHT: Final = 4.0  # runs: the hour's own mean counts half at this many
LINK_WEIGHT: Final = 2.0  # runs: the link's own mean counts half against the plan at this many
NETWORK_S: Final = 4_000.0  # seconds of driving: an hour's effect on the network counts half at this much
OTHER_KIND: Final = 0.25  # what a run of another kind of day is worth
HABIT_DAYS: Final = 1.5  # of one kind: enough to see which departures recur
USABLE_WEIGHT: Final = 2.0  # runs a link must have for its past to stand in for the plan

MINUTES: Final = 1_440
VERSION: Final = 1  # of the bytes of ``TravelTimes``
_ARRAYS: Final = ("seconds", "weight", "dwell", "square", "left", "days")

LinkKey = tuple[str, str]  # stop ids: from, to
StartKey = tuple[str, str]  # route id, stop id


def day_kind(date: dt.date) -> int:
    """Return 0 for a working day, 1 for Saturday, 2 for Sunday."""
    return max(date.weekday() - 4, 0)


@dataclass(frozen=True, slots=True, eq=False)
class TravelTimes:
    """Sums of what was observed, per link: enough to learn from, and small enough to keep. Faded up to ``as_of``."""

    as_of: dt.date
    links: tuple[LinkKey, ...]
    seconds: Floats  # [DAY_KINDS, SLOTS, links] sum of weight times arrival-to-arrival seconds
    weight: Floats  # [DAY_KINDS, SLOTS, links]
    dwell: Floats  # [2, links] sum of weighted dwell at the first stop, and its weight
    square: Floats  # [2, links] sum of weighted squared deviation from the mean of the day, and its weight
    starts: tuple[StartKey, ...]  # where runs begin
    left: Singles  # [DAY_KINDS, starts, MINUTES] departures by minute of the day
    days: Floats  # [DAY_KINDS] days observed


@dataclass(frozen=True, slots=True, eq=False)
class LearnedTimes:
    """``TravelTimes`` made ready for one network's links; NaN where nothing is known of a link."""

    seconds: Floats  # [DAY_KINDS, SLOTS, links]
    weight: Floats  # [links] runs it rests on
    dwell_s: Floats
    deviation_s: Floats  # one sigma of a single run
    left: Singles  # [DAY_KINDS, starts, MINUTES + 1] departures a day up to that minute
    start_days: Floats  # [DAY_KINDS] days of that kind observed

    def at(self, now_ms: int, zone: ZoneInfo) -> Floats:
        """Return the seconds of each link at ``now_ms``, between the half-hours before and after."""
        local = dt.datetime.fromtimestamp(now_ms / 1000, zone)
        place = (3_600 * local.hour + 60 * local.minute + local.second) / SLOT_S - 0.5
        before = int(np.floor(place))
        share = place - before
        day = self.seconds[day_kind(local.date())]
        return np.asarray((1.0 - share) * day[before % SLOTS] + share * day[(before + 1) % SLOTS], dtype=np.float64)


def to_bytes(times: TravelTimes) -> bytes:
    """Return ``times`` as bytes for ``from_bytes``."""
    arrays = {name: getattr(times, name) for name in _ARRAYS}
    packed = {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}
    saved = (VERSION, times.as_of.isoformat(), times.links, times.starts, packed)
    return zlib.compress(msgspec.msgpack.encode(saved), 1)


def from_bytes(data: bytes) -> TravelTimes:
    """Return what ``to_bytes`` wrote.

    Raises:
        ValueError: if ``data`` is broken or was written by another version.
    """
    kind = tuple[int, str, tuple[LinkKey, ...], tuple[StartKey, ...], dict[str, tuple[str, tuple[int, ...], bytes]]]
    try:
        version, as_of, links, starts, packed = msgspec.msgpack.decode(zlib.decompress(data), type=kind)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise ValueError(f"travel times cannot be read: {error}") from error
    if version != VERSION or set(packed) != set(_ARRAYS):
        raise ValueError(f"travel times were written by another version: {version}, this one reads {VERSION}")
    arrays = {
        name: np.frombuffer(raw, dtype=np.dtype(kind_)).reshape(shape) for name, (kind_, shape, raw) in packed.items()
    }
    return TravelTimes(as_of=dt.date.fromisoformat(as_of), links=links, starts=starts, **arrays)


def ready(
    times: TravelTimes, link_of: Mapping[LinkKey, int], planned_s: Floats, start_of: Mapping[StartKey, int]
) -> LearnedTimes:
    """Return ``times`` for a network with links and starts so numbered, the links planned to take ``planned_s``."""
    pairs = [(i, link_of[key]) for i, key in enumerate(times.links) if key in link_of]
    mine = np.array([i for i, _ in pairs], dtype=np.int64)
    theirs = np.array([link for _, link in pairs], dtype=np.int64)
    weight = times.weight[:, :, mine]
    total = times.seconds[:, :, mine]
    plan = planned_s[theirs]
    runs = weight.sum(axis=(0, 1))
    pace = (total.sum() + NETWORK_S) / (float((weight * plan).sum()) + NETWORK_S)
    own = (total.sum(axis=(0, 1)) + LINK_WEIGHT * pace * plan) / (runs + LINK_WEIGHT)
    smooth_total, smooth_weight = _smooth(total), _smooth(weight)
    others = (
        OTHER_KIND * (smooth_total.sum(axis=0) - smooth_total),
        OTHER_KIND * (smooth_weight.sum(axis=0) - smooth_weight),
    )
    hour = _hour_factor(smooth_total + others[0], smooth_weight + others[1], own)
    prior = own * hour[:, :, None]
    seconds = (smooth_total + others[0] + SMOOTH_WEIGHT * prior) / (smooth_weight + others[1] + SMOOTH_WEIGHT)
    count = len(planned_s)
    known = runs >= USABLE_WEIGHT
    return LearnedTimes(
        _placed(seconds[:, :, known], theirs[known], count),
        np.nan_to_num(_placed(runs, theirs, count)),
        _placed(_mean(times.dwell[:, mine]), theirs, count),
        _placed(np.sqrt(_mean(times.square[:, mine])), theirs, count),
        *_habits(times, start_of),
    )


def _habits(times: TravelTimes, start_of: Mapping[StartKey, int]) -> tuple[Singles, Floats]:
    """Return departures a day up to each minute, smoothed: of like days, else of all."""
    minute = np.arange(-4, 9)  # a bus is rather late than early
    kernel = np.where(minute < 0, np.exp(minute / 0.8), np.exp(-minute / 2.0))
    kernel /= kernel.sum()
    like = times.days >= HABIT_DAYS
    days = np.where(like, times.days, times.days.sum())
    summed = np.zeros((DAY_KINDS, len(start_of), MINUTES + 1), dtype=np.float32)
    for i, key in enumerate(times.starts):
        number = start_of.get(key)
        if number is None:
            continue
        for kind in range(DAY_KINDS):
            counts = times.left[kind, i] if like[kind] else times.left[:, i].sum(axis=0)
            rate = np.convolve(counts, kernel)[4 : 4 + MINUTES] / max(float(days[kind]), 1.0)
            summed[kind, number, 1:] = np.cumsum(rate)
    return summed, times.days


def _smooth(values: Floats) -> Floats:
    """Spread each half-hour over its neighbours; a sum over equal slots keeps its weight at the centre."""
    hour = np.arange(SLOTS) * SLOT_S / 3_600
    apart = np.abs(hour[:, None] - hour)
    kernel = np.exp(-0.5 * (np.minimum(apart, 24 - apart) / KERNEL_H) ** 2)
    return np.asarray(np.einsum("st,ktl->ksl", kernel, values), dtype=np.float64)


def _hour_factor(total: Floats, weight: Floats, own: Floats) -> Floats:
    """Return how much slower each [kind of day, half-hour] is than the mean, over the whole network."""
    expected = (weight * own).sum(axis=2)
    return np.asarray((total.sum(axis=2) + NETWORK_S) / (expected + NETWORK_S), dtype=np.float64)


def _mean(sums: Floats) -> Floats:
    return np.where(sums[1] > 0, sums[0] / np.maximum(sums[1], 1e-9), np.nan)


def _placed(values: Floats, at: npt.NDArray[np.int64], count: int) -> Floats:
    wide = np.full((*values.shape[:-1], count), np.nan)
    wide[..., at] = values
    return wide
