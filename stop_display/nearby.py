"""Which stops are near a place or near another stop, how far and in which direction. Pure.

Distances are metres in a straight line: at the size of a city a plane through the place is right to a thousandth.
Bearings are degrees clockwise from north. Stops at which no bus can be boarded are not found.
"""

import enum
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from stop_display.search import fold, name_of

EARTH_M: Final = 6_371_008.8  # mean radius, IUGG
OUTSIDE_M: Final = 50_000.0  # farther from every stop, somebody is not in this city
OPPOSITE_MAX_M: Final = 120.0  # a wide street, and stops are seldom face to face
OPPOSITE_MIN_DEG: Final = 120.0
SAME_NAME_MAX_M: Final = 500.0
NEIGHBOUR_MAX_M: Final = 800.0  # ten minutes on foot
NEIGHBOURS_LOOKED_AT: Final = 60  # more are not within that in any city
HEADING_OVER_M: Final = 30.0  # of the line, before and after a stop
AGREED_MIN: Final = 0.7  # of 1: above, the buses of a stop leave one way

Floats = npt.NDArray[np.float64]


class Beside(enum.StrEnum):
    """What a stop is to the one beside it, in order of precedence."""

    OPPOSITE = enum.auto()  # across the road: its buses go the other way
    SAME_NAME = enum.auto()
    NEAR = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A stop, by its place in the network, as seen from somewhere."""

    stop: int
    distance_m: float
    bearing_deg: float
    beside: Beside = Beside.NEAR


class OutsideError(ValueError):
    """A place is nowhere near the city; ``distance_m`` to its nearest stop."""

    def __init__(self, distance_m: float) -> None:
        super().__init__(
            f"the nearest stop is {distance_m / 1000:.0f} km away, at most {OUTSIDE_M / 1000:.0f} are sought"
        )
        self.distance_m = distance_m


class NearbyStops:
    """The stops of a network that buses leave from, ready to be looked for by place."""

    def __init__(self, network: Network) -> None:
        self._network = network
        last = np.zeros(len(network.patterns.stop), dtype=np.bool_)
        last[network.patterns.first[1:] - 1] = True
        boarded = [bool(len(rows)) and not bool(last[rows].all()) for rows in network.rows_of_stop]
        self._stops: npt.NDArray[np.int64] = np.flatnonzero(boarded)
        self._lat = network.stops.lat[self._stops]
        self._lon = network.stops.lon[self._stops]

    def near(self, lat: float, lon: float, limit: int) -> list[Near]:
        """Return the ``limit`` stops nearest to a place, nearest first.

        Raises:
            ValueError: if ``lat`` or ``lon`` is no number within ±90 or ±180.
            OutsideError: if no stop is within ``OUTSIDE_M``.
        """
        for name, value, most in (("lat", lat, 90), ("lon", lon, 180)):
            if not abs(value) <= most:  # also not a number
                raise ValueError(f"{name} must be a number from -{most} to {most}")
        found = self._around(lat, lon, limit)
        if not found or found[0].distance_m > OUTSIDE_M:
            raise OutsideError(found[0].distance_m if found else math.inf)
        return found

    def neighbours(self, stop: int, limit: int) -> list[Near]:
        """Return the stops beside ``stop``: that across the road first, then those of its name, then by distance."""
        lat, lon = float(self._network.stops.lat[stop]), float(self._network.stops.lon[stop])
        around = self._around(lat, lon, NEIGHBOURS_LOOKED_AT)
        others = [one for one in around if one.stop != stop and one.distance_m <= NEIGHBOUR_MAX_M]
        told = [
            Near(
                stop=one.stop,
                distance_m=one.distance_m,
                bearing_deg=one.bearing_deg,
                beside=self._beside(stop, one),
            )
            for one in others
        ]
        order = list(Beside)
        return sorted(told, key=lambda one: (order.index(one.beside), one.distance_m))[:limit]

    def _around(self, lat: float, lon: float, limit: int) -> list[Near]:
        """Return the ``limit`` nearest stops, nearest first, however far."""
        north_m = np.radians(self._lat - lat) * EARTH_M
        east_m = np.radians((self._lon - lon + 180) % 360 - 180) * EARTH_M * np.cos(np.radians((self._lat + lat) / 2))
        distance_m = np.hypot(north_m, east_m)
        bearing_deg = np.degrees(np.arctan2(east_m, north_m)) % 360
        return [
            Near(stop=int(self._stops[at]), distance_m=float(distance_m[at]), bearing_deg=float(bearing_deg[at]))
            for at in np.argsort(distance_m, kind="stable")[:limit]
        ]

    def _beside(self, stop: int, other: Near) -> Beside:
        if other.distance_m <= OPPOSITE_MAX_M and self._apart_deg(stop, other.stop) >= OPPOSITE_MIN_DEG:
            return Beside.OPPOSITE
        if other.distance_m <= SAME_NAME_MAX_M and self._name(stop) == self._name(other.stop):
            return Beside.SAME_NAME
        return Beside.NEAR

    def _name(self, stop: int) -> str:
        return fold(name_of(self._network, stop)["kk"])

    def _apart_deg(self, stop: int, other: int) -> float:
        """Return the angle between the ways that buses leave two stops, 0 to 180; 0 where they leave several ways."""
        ways = [self._way(one) for one in (stop, other)]
        if any(bool(np.hypot(*way) < AGREED_MIN) for way in ways):
            return 0.0
        first, second = (math.degrees(math.atan2(float(way[0]), float(way[1]))) for way in ways)
        return abs((first - second + 180) % 360 - 180)

    def _way(self, stop: int) -> Floats:
        """Return the mean direction of the lines at a stop, east and north; its length tells how far they agree."""
        patterns, ways = self._network.patterns, []
        for row in self._network.rows_of_stop[stop]:
            pattern, at_m = int(self._network.pattern_of_row[row]), float(patterns.offset_m[row])
            part = slice(int(patterns.line_first[pattern]), int(patterns.line_last[pattern]))
            xy, along_m = patterns.line_xy[part], patterns.line_offset_m[part]
            ends_m = np.array([at_m - HEADING_OVER_M, at_m + HEADING_OVER_M])
            moved = np.diff([np.interp(ends_m, along_m, xy[:, axis]) for axis in (0, 1)]).reshape(2)
            length_m = float(np.hypot(*moved))
            if length_m > 0:
                ways.append(moved / length_m)
        return np.mean(ways, axis=0) if ways else np.zeros(2)
