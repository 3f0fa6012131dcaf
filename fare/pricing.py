"""What the rides of a medium cost in this city: its tariff, and one fare where two validators of a bus both took one.

Pure. A validator decides alone, so the second one of a vehicle takes a fare that the first has taken already. That is
put right here, each time a bill is derived: whichever of the two taps arrives first, the bill comes out the same.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from fare.model import Bill, Profile, Ride
from fare.tariff.model import Tariff
from fare.tariff.price import price
from fare.validator.rules import Configuration
from fare.validator.same_ride import without_second_validators


@dataclass(frozen=True, slots=True, kw_only=True)
class CityPricing:
    """``fare.ledger.billing.Pricing`` of a tariff and of the rules that validators have."""

    tariff: Tariff
    configuration: Configuration

    def bill(self, rides: Sequence[Ride], profile: Profile) -> Bill:
        """Return what the rides of one medium cost. A ride that was paid at another validator is not on it.

        Raises:
            ValueError: as ``fare.tariff.price.price``.
        """
        return price(without_second_validators(rides, self.configuration), self.tariff, profile)

    def service_day(self, at_ms: int) -> dt.date:
        """Return the service day of a moment."""
        return self.tariff.at(at_ms)[0].service_date
