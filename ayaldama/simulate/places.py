"""Places of buses that are told instead of tracked: for whoever measures or tries money without a city around it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fare.model import CarrierId, LocatedTap, Ride, Tap

CARRIER: Final = CarrierId("k1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldPlaces:
    """A ``fare.taking.Locating`` that never has to look. ``lines``: by vehicle; ``line``: of all that are not there.

    ``trip_id`` and ``stop_id`` are those of every ride, "" where nobody knows them.
    """

    lines: Mapping[str, str] = field(default_factory=dict)
    line: str = ""
    trip_id: str = ""
    stop_id: str = ""
    carrier_id: CarrierId = CARRIER

    def is_searched(self, tap: Tap) -> bool:
        """Return False: what is not told stays unknown."""
        del tap
        return False

    async def located(self, taps: Sequence[Tap]) -> list[LocatedTap]:
        """Return ``taps`` with their places; those that begin a ride, with the ride."""
        return [self.at_its_place(tap) for tap in taps]

    def at_its_place(self, tap: Tap) -> LocatedTap:
        """Return one tap with its place; if it begins a ride, with the ride."""
        if not tap.outcome.rides:
            return LocatedTap(tap=tap)
        ride = Ride(
            key=tap.key,
            tapped_ms=tap.tapped_ms,
            medium_id=tap.medium_id,
            medium_kind=tap.medium_kind,
            riders=tap.riders,
            vehicle_id=tap.vehicle_id,
            carrier_id=self.carrier_id,
            route_id=self.lines.get(tap.vehicle_id, self.line),
            trip_id=self.trip_id,
            stop_id=self.stop_id,
        )
        return LocatedTap(tap=tap, ride=ride)
