"""A tariff as the books need it: bills of a medium's rides, and the service day of a moment."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from fare.model import Bill, Profile, Ride
from fare.tariff.model import Tariff
from fare.tariff.price import price


@dataclass(frozen=True, slots=True)
class TariffPricing:
    """The ``Pricing`` of ``fare.ledger.billing``."""

    tariff: Tariff

    def bill(self, rides: Sequence[Ride], profile: Profile) -> Bill:
        """Return what the rides of one medium cost.

        Raises:
            ValueError: as ``price``.
        """
        return price(rides, self.tariff, profile)

    def service_day(self, at_ms: int) -> dt.date:
        """Return the service day of a moment."""
        return self.tariff.at(at_ms)[0].service_date
