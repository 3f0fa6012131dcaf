"""How many riders are aboard: those who boarded since the run began, less those who have left by a simple model. Pure.

Nobody taps out, so alighting is a model, not learned: a rider is as likely to leave at any stop still ahead. At a stop
with ``n`` stops of the run from it on (itself included) each rider aboard leaves with probability 1/n, wherever he
boarded, and at the last stop all do. It tends to keep riders too long on lines through a centre; riders who pay in
cash or not at all are not counted. Classes are those of GTFS-Realtime (``OccupancyStatus``).
"""

from dataclasses import dataclass, field
from typing import Final

import msgspec

from transit.outcomes import Occupancy

EMPTY_BELOW: Final = 0.5  # riders
MANY_SEATS: Final = 0.5  # of the seats
ROOM_TO_STAND: Final = 0.6  # of the room to stand


class Load(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Riders aboard a vehicle, as an expectation. New fields go last, with a default."""

    vehicle_id: str
    run_key: str
    stop_number: int  # the last stop whose alighting is in ``riders``
    riders: float
    status: str  # ``outcomes.Occupancy``
    as_of_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a vehicle has room for.

    Raises:
        ValueError: if there are fewer places than seats.
    """

    seats: int
    places: int  # seats included

    def __post_init__(self) -> None:
        """Refuse a vehicle whose seats are no places."""
        if not 0 < self.seats <= self.places:
            raise ValueError(f"fare.seats must be above 0 and at most fare.places, {self.places}: {self.seats}")

    def status(self, riders: float) -> Occupancy:
        """Return the class of a number of riders."""
        standing = riders - self.seats
        if riders < EMPTY_BELOW:
            return Occupancy.EMPTY
        if riders <= MANY_SEATS * self.seats:
            return Occupancy.MANY_SEATS_AVAILABLE
        if standing <= 0:
            return Occupancy.FEW_SEATS_AVAILABLE
        if standing <= ROOM_TO_STAND * (self.places - self.seats):
            return Occupancy.STANDING_ROOM_ONLY
        return Occupancy.CRUSHED_STANDING_ROOM_ONLY if riders < self.places else Occupancy.FULL


@dataclass(slots=True)
class Loads:
    """The loads of all vehicles on which somebody has boarded. ``take_changes`` gives those that look different."""

    capacity: Capacity
    _loads: dict[str, Load] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)

    def restore(self, loads: list[Load]) -> None:
        """Go on from what was published before."""
        self._loads = {load.vehicle_id: load for load in loads}

    def known(self) -> list[Load]:
        """Return all loads, in order of vehicle."""
        return [self._loads[vehicle_id] for vehicle_id in sorted(self._loads)]

    def boarded(self, vehicle_id: str, riders: int, at_ms: int) -> None:
        """Count riders who boarded."""
        load = self._loads.get(vehicle_id)
        if load is None:
            load = Load(vehicle_id, "", -1, 0.0, Occupancy.EMPTY, at_ms)
        self._keep(load, load.run_key, load.stop_number, load.riders + riders, at_ms)

    def moved(self, vehicle_id: str, run_key: str, stop_number: int, stops: int, at_ms: int) -> None:
        """Let riders leave at the stops that a vehicle has reached. A new run begins empty."""
        load = self._loads.get(vehicle_id)
        if load is None or not run_key or stop_number < 0:
            return
        if load.run_key != run_key:
            # Who boarded before any run was known boarded for this one.
            riders = load.riders if not load.run_key else 0.0
            self._keep(load, run_key, stop_number, riders, at_ms)
            return
        riders = load.riders
        for number in range(load.stop_number + 1, stop_number + 1):
            riders *= 1 - 1 / max(stops - number, 1)
        if stop_number > load.stop_number:
            self._keep(load, run_key, stop_number, riders, at_ms)

    def forget(self, vehicle_id: str) -> None:
        """Forget a vehicle that left the map."""
        if self._loads.pop(vehicle_id, None) is not None:
            self._changed.add(vehicle_id)

    def take_changes(self) -> tuple[list[Load], list[str]]:
        """Return the loads that changed since the last call, and the vehicles that were forgotten."""
        changed, self._changed = sorted(self._changed), set()
        return [self._loads[one] for one in changed if one in self._loads], [
            one for one in changed if one not in self._loads
        ]

    def _keep(self, load: Load, run_key: str, stop_number: int, riders: float, at_ms: int) -> None:
        status = self.capacity.status(riders)
        self._loads[load.vehicle_id] = Load(load.vehicle_id, run_key, stop_number, riders, status, at_ms)
        self._changed.add(load.vehicle_id)
