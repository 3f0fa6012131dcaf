"""Where a vehicle was some minutes ago: on which run, at or after which stop. Pure; fed with published positions.

Whoever boards does so at a stop, and holds the card to the reader there or on the way to the next one, so the place of
a tap is the last stop that the vehicle had reached.
"""

import bisect
import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from gtfs_data.network import Network
from transit.model import VehiclePosition

KEPT_MS: Final = 20 * 60_000
APART_MAX_MS: Final = 180_000  # between a moment and the fix that says where the vehicle was
FOUND_MAX_MS: Final = 240_000  # tracking needs up to so long to find out which run a vehicle is on
AT_STOP_M: Final = 40.0  # before a stop it counts as reached: error of the fix and length of the bus


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabout:
    """A vehicle at a moment. ``stop_number`` counts from 0; -1 and "" where no run or place on its line is known."""

    vehicle_id: str
    route_id: str
    trip_id: str
    run_key: str
    run_since_ms: int  # when this became its run, as far as is remembered
    stop_id: str = ""
    next_stop_id: str = ""
    stop_number: int = -1
    stops: int = 0  # of the run
    left_stop_ms: int = 0  # when it was first seen beyond ``stop_id``; 0: it is there, or not known


@dataclass(frozen=True, slots=True)
class _Seen:
    fix_ms: int
    position: VehiclePosition
    run_since_ms: int


@dataclass(slots=True)
class Whereabouts:
    """The last minutes of all vehicles of a network."""

    network: Network
    _seen: dict[str, deque[_Seen]] = field(default_factory=dict)

    def note(self, position: VehiclePosition) -> None:
        """Take a published position. One that is older than what is known of the vehicle says nothing new."""
        seen = self._seen.setdefault(position.vehicle_id, deque())
        last = seen[-1] if seen else None
        if last is not None and position.fix_ms < last.fix_ms:
            return
        same_run = last is not None and last.position.run_key == position.run_key
        since_ms = last.run_since_ms if last is not None and same_run else position.fix_ms
        if last is not None and last.fix_ms == position.fix_ms:
            seen.pop()
        seen.append(_Seen(position.fix_ms, position, since_ms))
        while seen[0].fix_ms < position.fix_ms - KEPT_MS:
            seen.popleft()

    def forget(self, vehicle_ids: Iterable[str]) -> None:
        """Forget vehicles that left the map."""
        for vehicle_id in vehicle_ids:
            self._seen.pop(vehicle_id, None)

    def now(self, vehicle_id: str) -> Whereabout | None:
        """Return where a vehicle was last, None if it is not known."""
        seen = self._seen.get(vehicle_id)
        return self._tell(seen, len(seen) - 1, seen[-1].fix_ms) if seen else None

    def heard_since(self, since_ms: int) -> list[VehiclePosition]:
        """Return the newest position of each vehicle that was heard since a moment."""
        newest = (seen[-1].position for seen in self._seen.values())
        return [position for position in newest if position.fix_ms >= since_ms]

    def at(self, vehicle_id: str, at_ms: int) -> Whereabout | None:
        """Return where a vehicle was at a moment, None if no fix is near enough in time."""
        seen = self._seen.get(vehicle_id)
        if not seen:
            return None
        place = bisect.bisect_right(seen, at_ms, key=lambda one: one.fix_ms) - 1
        if place < 0 or (at_ms - seen[place].fix_ms > APART_MAX_MS and place + 1 < len(seen)):
            place += 1  # the fix after it may be nearer
        if abs(at_ms - seen[place].fix_ms) > APART_MAX_MS:
            return None
        return self._run_after(seen, place, at_ms) or self._tell(seen, place, at_ms)

    def _run_after(self, seen: "deque[_Seen]", place: int, at_ms: int) -> Whereabout | None:
        """Return the run on which a vehicle was found soon after a moment at which it had none yet, without a stop."""
        if seen[place].position.route_id:
            return None
        for one in itertools.islice(seen, place + 1, None):
            if one.fix_ms - at_ms > FOUND_MAX_MS:
                return None
            position = one.position
            if position.route_id:
                return Whereabout(
                    vehicle_id=position.vehicle_id,
                    route_id=position.route_id,
                    trip_id=position.trip_id,
                    run_key=position.run_key,
                    run_since_ms=one.run_since_ms,
                )
        return None

    def _tell(self, seen: "deque[_Seen]", place: int, at_ms: int) -> Whereabout:
        one = seen[place]
        position = one.position
        found = Whereabout(
            vehicle_id=position.vehicle_id,
            route_id=position.route_id,
            trip_id=position.trip_id,
            run_key=position.run_key,
            run_since_ms=one.run_since_ms,
            next_stop_id=position.next_stop_id,
        )
        offset_m = self._offset_m(seen, place, at_ms)
        if offset_m is None:
            return found
        patterns = self.network.patterns
        rows = patterns.rows(position.pattern)
        number = self._number(position.pattern, offset_m)
        last = rows.stop - rows.start - 1
        return Whereabout(
            vehicle_id=found.vehicle_id,
            route_id=found.route_id,
            trip_id=found.trip_id,
            run_key=found.run_key,
            run_since_ms=found.run_since_ms,
            stop_id=self.network.stops.ids[int(patterns.stop[rows.start + number])],
            next_stop_id=self.network.stops.ids[int(patterns.stop[rows.start + number + 1])] if number < last else "",
            stop_number=number,
            stops=last + 1,
            left_stop_ms=self._left_ms(seen, place, number),
        )

    def _offset_m(self, seen: "deque[_Seen]", place: int, at_ms: int) -> float | None:
        """Return how far along its line the vehicle was; between two fixes of one run it moved evenly."""
        before = seen[place].position
        if before.offset_m is None or not self._on_line(before):
            return None
        if place + 1 == len(seen) or at_ms <= before.fix_ms:
            return before.offset_m
        after = seen[place + 1].position
        if after.offset_m is None or (after.run_key, after.pattern) != (before.run_key, before.pattern):
            return before.offset_m
        part = (at_ms - before.fix_ms) / (after.fix_ms - before.fix_ms)
        return before.offset_m + min(part, 1.0) * (after.offset_m - before.offset_m)

    def _left_ms(self, seen: "deque[_Seen]", place: int, number: int) -> int:
        """Return the first fix beyond stop ``number``, among those of this run up to ``place``."""
        run_key, left_ms = seen[place].position.run_key, 0
        for at in range(place, -1, -1):
            position = seen[at].position
            if position.run_key != run_key or position.offset_m is None or not self._on_line(position):
                break
            row = int(self.network.patterns.first[position.pattern]) + number
            if self._number(position.pattern, position.offset_m) != number:
                break
            if position.offset_m <= float(self.network.patterns.offset_m[row]) + AT_STOP_M:
                break
            left_ms = position.fix_ms
        return left_ms

    def _number(self, pattern: int, offset_m: float) -> int:
        offsets_m = self.network.patterns.offset_m[self.network.patterns.rows(pattern)]
        return max(int(np.searchsorted(offsets_m, offset_m + AT_STOP_M, side="right")) - 1, 0)

    def _on_line(self, position: VehiclePosition) -> bool:
        return bool(position.run_key) and 0 <= position.pattern < len(self.network.patterns)
