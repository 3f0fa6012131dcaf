"""How often a line without timetable really comes: gaps between vehicles that passed and that are to come. Pure.

``Passages`` sees vehicles pass the rows of such patterns in what tracking publishes; ``headway_of`` makes "every 8 to
10 minutes" of it. Where too little was seen it says the plan's figures, and that they are the plan's. It never says
less than what somebody waits already: when buses drop out, the figure grows while the gap is still open.
"""

import bisect
import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gtfs_data.network import Network
from transit.model import VehiclePosition

PASSED_M: Final = 30.0  # a vehicle that stands at the stop has not left it
LOOK_BACK_MS: Final = 60 * 60_000
BUNCH_MS: Final = 90_000  # vehicles so close together are one to somebody who waits
GAPS_MAX: Final = 3  # closed gaps that still say how it is now
GAPS_MIN: Final = 2  # fewer say nothing of what is usual
LOST_MS: Final = 60 * 60_000  # after so long without a vehicle, and three of the plan's headways, nothing is claimed
LOST_HEADWAYS: Final = 3
UNSEEN_MAX_MS: Final = 5 * 60_000  # between two fixes: when it passed in between is anybody's guess
HELD: Final = 8
MINUTE_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Headway:
    """A vehicle comes every ``from_s`` to ``to_s``, whole minutes. ``planned``: the figures are the plan's.

    Of what was seen, ``from_s`` is the middle gap, not the shortest, which one hurried bus makes; ``to_s`` the longest.
    """

    from_s: int
    to_s: int
    planned: bool


class Passages:
    """When vehicles passed the rows of patterns that run by headway."""

    def __init__(self, network: Network) -> None:
        self._patterns = network.patterns
        trips = network.trips
        self._watched = frozenset(np.unique(trips.pattern[~trips.scheduled]).tolist())
        self._last: dict[str, VehiclePosition] = {}
        self._passed_ms: dict[int, list[int]] = {}

    @property
    def by_row(self) -> Mapping[int, Sequence[int]]:
        """Pattern row → the last passages, epoch milliseconds, rising."""
        return self._passed_ms

    def note(self, vehicle: VehiclePosition) -> None:
        """Take where a vehicle is now; what lies between this place and its last on the same run was passed."""
        if vehicle.pattern not in self._watched or vehicle.offset_m is None:
            self._last.pop(vehicle.vehicle_id, None)
            return
        before = self._last.get(vehicle.vehicle_id)
        self._last[vehicle.vehicle_id] = vehicle
        if (
            before is None
            or before.offset_m is None
            or (before.run_key, before.pattern) != (vehicle.run_key, vehicle.pattern)
            or not before.offset_m < vehicle.offset_m
            or not 0 < vehicle.fix_ms - before.fix_ms <= UNSEEN_MAX_MS
        ):
            return
        rows = self._patterns.rows(vehicle.pattern)
        left_m = self._patterns.offset_m[rows]
        first, last = np.searchsorted(left_m + PASSED_M, (before.offset_m, vehicle.offset_m), side="right").tolist()
        for row in range(rows.start + first, rows.start + last):
            share = (float(self._patterns.offset_m[row]) + PASSED_M - before.offset_m) / (
                vehicle.offset_m - before.offset_m
            )
            at_ms = before.fix_ms + round(share * (vehicle.fix_ms - before.fix_ms))
            held = self._passed_ms.setdefault(row, [])
            bisect.insort(held, at_ms)  # vehicles are not heard in the order in which they passed
            del held[:-HELD]

    def forget(self, vehicle_id: str) -> None:
        """Forget where a vehicle was that is gone."""
        self._last.pop(vehicle_id, None)


def planned_headway(planned_s: Sequence[int]) -> Headway:
    """Return what the plan says, if it has the headways ``planned_s`` at the same time or soon after each other."""
    return Headway(from_s=_minutes_down(min(planned_s)), to_s=_minutes_up(max(planned_s)), planned=True)


def headway_of(
    passed_ms: Sequence[int], coming_ms: Sequence[int], planned: Headway, *, since_ms: int, now_ms: int
) -> Headway | None:
    """Return how often vehicles come, None if nothing can be claimed any more: none came for far too long.

    ``passed_ms`` and ``coming_ms`` rise; what passed before ``since_ms``, when service began, is of another time.
    """
    passed = _apart([at_ms for at_ms in passed_ms if since_ms <= at_ms <= now_ms])
    if not passed:
        return planned
    coming = [at_ms for at_ms in _apart(coming_ms) if at_ms > now_ms]
    open_s = 0 if coming else (now_ms - passed[-1]) // 1000
    if 1000 * open_s > max(LOST_MS, LOST_HEADWAYS * 1000 * planned.to_s):
        return None
    recent = [at_ms for at_ms in passed[-GAPS_MAX - 1 :] if now_ms - at_ms <= LOOK_BACK_MS] or passed[-1:]
    gaps_s = [(later - earlier) // 1000 for earlier, later in itertools.pairwise(_apart([*recent, *coming]))]
    if len(gaps_s) >= GAPS_MIN:
        return Headway(
            from_s=_minutes_down(statistics.median_low(gaps_s)), to_s=_minutes_up(max([*gaps_s, open_s])), planned=False
        )
    to_s = _minutes_up(max([*gaps_s, open_s]) if gaps_s or open_s else 0)
    if to_s <= planned.to_s:
        return planned
    return Headway(from_s=planned.from_s, to_s=to_s, planned=False)


def _apart(times_ms: Sequence[int]) -> list[int]:
    """Return ``times_ms`` without those that follow another closely."""
    found: list[int] = []
    for at_ms in times_ms:
        if not found or at_ms - found[-1] > BUNCH_MS:
            found.append(at_ms)
    return found


def _minutes_down(seconds: int) -> int:
    return max(seconds // MINUTE_S, 1) * MINUTE_S


def _minutes_up(seconds: int) -> int:
    return max(-(-seconds // MINUTE_S), 1) * MINUTE_S
