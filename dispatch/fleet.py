"""What the map shows, kept up to date from the change feed. Pure: it is told the updates and asked for the view.

The feed is in order and its last word holds, also when that is an earlier fix (a recording played again). Updates may
overlap a snapshot, because the feed is followed from before the snapshot was read: taking one twice changes nothing.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from dispatch.messages import StopAhead, Vehicle
from gtfs_data.network import Network
from transit.model import Arrival, Update, VehiclePosition


@dataclass(slots=True)
class Fleet:
    """Vehicles and what is expected of each. ``changed`` and ``gone`` gather since they were last taken."""

    network: Network
    as_of_ms: int = 0
    _positions: dict[str, VehiclePosition] = field(default_factory=dict)
    _arrivals: dict[str, dict[str, Arrival]] = field(default_factory=dict)  # vehicle id → arrival key → arrival
    _vehicle_of: dict[str, str] = field(default_factory=dict)  # arrival key → vehicle id
    _changed: set[str] = field(default_factory=set)
    _gone: set[str] = field(default_factory=set)
    _occupancy: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of vehicles on the map."""
        return len(self._positions)

    def replace(self, update: Update) -> None:
        """Take a snapshot: ``update`` is all there is; vehicles it does not name are gone."""
        for vehicle_id in self._positions.keys() - {vehicle.vehicle_id for vehicle in update.vehicles}:
            self._forget(vehicle_id)
        self._arrivals.clear()
        self._vehicle_of.clear()
        self.apply(update)

    def apply(self, update: Update) -> None:
        """Take one update of the change feed."""
        self.as_of_ms = update.as_of_ms
        for vehicle_id in update.gone:
            self._forget(vehicle_id)
        for position in update.vehicles:
            self._place(position)
        for withdrawn in update.withdrawn:
            self._withdraw(withdrawn.key)
        for arrival in update.arrivals:
            self._expect(arrival)

    def fill(self, occupancy: Mapping[str, str]) -> None:
        """Take how full vehicles are, by vehicle id; of one that is not named it is not known."""
        for vehicle_id in occupancy.keys() | self._occupancy.keys():
            differs = occupancy.get(vehicle_id) != self._occupancy.get(vehicle_id)
            if differs and vehicle_id in self._positions:
                self._changed.add(vehicle_id)
        self._occupancy = dict(occupancy)

    def take_changes(self) -> tuple[list[Vehicle], list[str]]:
        """Return the vehicles that look different since the last call, and the ids of those that left."""
        changed = [self._view(vehicle_id) for vehicle_id in sorted(self._changed)]
        gone = sorted(self._gone)
        self._changed.clear()
        self._gone.clear()
        return changed, gone

    def vehicles(self) -> list[Vehicle]:
        """Return every vehicle, in order of id."""
        return [self._view(vehicle_id) for vehicle_id in sorted(self._positions)]

    def vehicle(self, vehicle_id: str) -> Vehicle | None:
        """Return one vehicle, None if it is not on the map."""
        return self._view(vehicle_id) if vehicle_id in self._positions else None

    def ahead(self, vehicle_id: str) -> list[StopAhead]:
        """Return what is expected on the vehicle's present run, soonest first."""
        return [
            StopAhead(
                stop=arrival.stop_id,
                arrival_ms=arrival.arrival_ms,
                arrival_p10_ms=arrival.arrival_p10_ms,
                arrival_p90_ms=arrival.arrival_p90_ms,
                scheduled_ms=arrival.scheduled_ms,
            )
            for arrival in self._of_this_run(vehicle_id)
        ]

    def _place(self, position: VehiclePosition) -> None:
        if self._positions.get(position.vehicle_id) == position:
            return
        self._positions[position.vehicle_id] = position
        self._gone.discard(position.vehicle_id)
        self._changed.add(position.vehicle_id)

    def _expect(self, arrival: Arrival) -> None:
        expected = self._arrivals.setdefault(arrival.vehicle_id, {})
        expected[arrival.key] = arrival
        self._vehicle_of[arrival.key] = arrival.vehicle_id
        self._next_may_change(arrival.vehicle_id, arrival.stop_id)

    def _withdraw(self, key: str) -> None:
        vehicle_id = self._vehicle_of.pop(key, None)
        if vehicle_id is not None:
            arrival = self._arrivals[vehicle_id].pop(key)
            self._next_may_change(vehicle_id, arrival.stop_id)

    def _next_may_change(self, vehicle_id: str, stop_id: str) -> None:
        position = self._positions.get(vehicle_id)
        if position is not None and position.next_stop_id == stop_id:
            self._changed.add(vehicle_id)

    def _forget(self, vehicle_id: str) -> None:
        for key in self._arrivals.pop(vehicle_id, {}):
            self._vehicle_of.pop(key, None)
        if self._positions.pop(vehicle_id, None) is not None:
            self._changed.discard(vehicle_id)
            self._gone.add(vehicle_id)

    def _of_this_run(self, vehicle_id: str) -> list[Arrival]:
        position = self._positions.get(vehicle_id)
        if position is None or not position.run_key:
            return []
        expected: Iterable[Arrival] = self._arrivals.get(vehicle_id, {}).values()
        return sorted(
            (arrival for arrival in expected if arrival.run_key == position.run_key),
            key=lambda arrival: arrival.stop_sequence,
        )

    def _next_ms(self, position: VehiclePosition) -> int | None:
        if not position.next_stop_id:
            return None
        at_next = (
            arrival.arrival_ms
            for arrival in self._arrivals.get(position.vehicle_id, {}).values()
            if arrival.run_key == position.run_key and arrival.stop_id == position.next_stop_id
        )
        return min(at_next, default=None)

    def _view(self, vehicle_id: str) -> Vehicle:
        position = self._positions[vehicle_id]
        known_pattern = 0 <= position.pattern < len(self.network.patterns)
        heading_deg = position.heading_deg
        if heading_deg is None and known_pattern and position.offset_m is not None:
            heading_deg = line_heading_deg(self.network, position.pattern, position.offset_m)
        return Vehicle(
            id=vehicle_id,
            fix_ms=position.fix_ms,
            lat=round(position.lat, 6),
            lon=round(position.lon, 6),
            phase=position.phase,
            heading_deg=None if heading_deg is None else round(heading_deg),
            speed_mps=None if position.speed_mps is None else round(position.speed_mps, 1),
            route=position.route_id,
            direction=position.direction_id,
            trip=position.trip_id,
            pattern=position.pattern if known_pattern else -1,
            next_stop=position.next_stop_id,
            next_ms=self._next_ms(position),
            deviation_s=position.deviation_s,
            occupancy=self._occupancy.get(vehicle_id, ""),
        )


def line_heading_deg(network: Network, pattern: int, offset_m: float) -> float | None:
    """Return which way the line of ``pattern`` leads at ``offset_m``, clockwise from grid north; None for a point."""
    patterns = network.patterns
    first, last = int(patterns.line_first[pattern]), int(patterns.line_last[pattern])
    if last - first < 2:
        return None
    after = int(np.searchsorted(patterns.line_offset_m[first:last], offset_m, side="right"))
    after = first + min(max(after, 1), last - first - 1)
    east_m, north_m = patterns.line_xy[after] - patterns.line_xy[after - 1]
    if east_m == 0 and north_m == 0:
        return None
    return math.degrees(math.atan2(east_m, north_m)) % 360
