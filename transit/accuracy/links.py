"""Running times from stop to stop for the baselines: medians by hour, and what the last vehicles needed.

A link is a pair of consecutive stops, whatever route serves it. All is counted from observed passings; what the feed
plans stands in where nothing was seen.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from gtfs_data.network import Network
from transit.accuracy.days import day_of, hour_of
from transit.accuracy.forecasts import Floats, Index
from transit.accuracy.passings import Passings

RECENT_MIN: Final = 45
RECENT_PRIOR: Final = 2.0  # the median counts as much as so many recent vehicles
SAMPLES_MIN: Final = 3  # fewer drives in an hour tell less than all hours together
SPREAD_MAX: Final = 4  # a drive past stops where it was not seen is shared out among so many links at most
DRIVE_MAX_S: Final = 1_800.0
HOURS: Final = 24
MINUTE_MS: Final = 60_000
DAY_MINUTES: Final = 36 * 60  # of one service day and the night after it


@dataclass(frozen=True, slots=True, eq=False)
class Drives:
    """Drives over links: which, when the stop ahead was reached, in how many seconds."""

    link: Index
    at_ms: Index
    seconds: Floats


class Links:
    """The links of a feed and what was driven over them."""

    def __init__(self, network: Network, passings: Passings) -> None:
        patterns = network.patterns
        self._zone = network.time_zone
        before = patterns.stop[np.maximum(np.arange(len(patterns.stop)) - 1, 0)].astype(np.int64)
        pairs, of_row = np.unique(before << 32 | patterns.stop, return_inverse=True)
        self.count = len(pairs)
        self.of_row: Index = of_row.astype(np.int64)  # the link that leads to each pattern row; none to a first row
        self.planned_s = _planned_s(network, self.of_row, self.count)
        self._drives = self._driven(passings)
        self._day = day_of(self._drives.at_ms, self._zone)

    def _driven(self, passings: Passings) -> Drives:
        same = (np.diff(passings.run) == 0) & (np.diff(passings.row) > 0) & (np.diff(passings.row) <= SPREAD_MAX)
        seconds = np.diff(passings.at_ms) / 1000
        first = np.flatnonzero(same & (seconds > 0) & (seconds <= DRIVE_MAX_S))
        size = passings.row[first + 1] - passings.row[first]
        which = np.repeat(np.arange(len(first)), size)
        step = np.arange(len(which)) - np.repeat(np.cumsum(size) - size, size)
        link = self.of_row[passings.row[first][which] + 1 + step]
        planned = self.planned_s[link]
        total = np.bincount(which, weights=planned, minlength=len(first))
        return Drives(link, passings.at_ms[first + 1][which], planned / total[which] * seconds[first][which])

    def medians(self, days: Index) -> Floats:
        """Return median seconds, [hour, link], of the drives of ``days``."""
        of = np.flatnonzero(np.isin(self._day, days))
        table = pd.DataFrame({"link": self._drives.link[of], "seconds": self._drives.seconds[of]})
        table["hour"] = hour_of(self._drives.at_ms[of], self._zone)
        known = np.tile(self.planned_s, (HOURS, 1))
        over_all = table.groupby("link")["seconds"].median()
        known[:, over_all.index.to_numpy()] = over_all.to_numpy()
        hourly = table.groupby(["hour", "link"])["seconds"].agg(["median", "size"])
        hourly = hourly[hourly["size"] >= SAMPLES_MIN].reset_index()
        known[hourly["hour"], hourly["link"]] = hourly["median"]
        return known

    def recent(self, zero_ms: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return sum of seconds and number of drives of the last ``RECENT_MIN``, [minute since ``zero_ms``, link].

        A drive counts from the first whole minute after its end, so that nothing is known too early.
        """
        minute = -(-(self._drives.at_ms - zero_ms) // MINUTE_MS)
        of = np.flatnonzero((minute >= 0) & (minute < DAY_MINUTES))
        place = (minute[of], self._drives.link[of])
        found = []
        for weights in (self._drives.seconds[of], np.ones(len(of))):
            so_far = np.zeros((DAY_MINUTES, self.count), dtype=np.float32)
            np.add.at(so_far, place, weights)
            np.add.at(so_far, (np.minimum(place[0] + RECENT_MIN, DAY_MINUTES - 1), place[1]), -weights)
            found.append(np.cumsum(so_far, axis=0, dtype=np.float32))
        return found[0], found[1]


def _planned_s(network: Network, of_row: Index, count: int) -> Floats:
    """Return planned seconds of each link: the mean over all trips."""
    patterns, trips = network.patterns, network.trips
    size = np.diff(trips.first)
    trip = np.repeat(np.arange(len(size)), size)
    row = patterns.first[trips.pattern[trip]] + np.arange(len(trip)) - trips.first[trip]
    seconds = np.diff(trips.arrival_s.astype(np.float64), prepend=0.0)
    inner = np.diff(trip, prepend=-1) == 0
    links = of_row[row[inner]]
    total = np.bincount(links, weights=np.maximum(seconds[inner], 1.0), minlength=count)
    seen = np.bincount(links, minlength=count)
    return np.where(seen > 0, total / np.maximum(seen, 1), 1.0)
