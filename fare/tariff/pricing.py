"""A tariff as the books ask it: a bill for rides, a service day for a moment."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from fare.model import Bill, Profile, Ride
from fare.tariff.model import MS, Tariff
from fare.tariff.price import price


@dataclass(frozen=True, slots=True)
class TariffPricing:
    """The ``Pricing`` of ``fare.ledger.billing`` by one tariff."""

    tariff: Tariff

    def bill(self, rides: Sequence[Ride], profile: Profile) -> Bill:
        """Return what the rides of one medium cost."""
        return price(rides, self.tariff, profile)

    def service_day(self, at_ms: int) -> dt.date:
        """Return the service day of a moment."""
        return self.tariff.at(at_ms)[0].service_date


def service_day_ms(tariff: Tariff, day: dt.date) -> int:
    """Return when the service day of a date begins, by the version that holds then."""
    version = tariff.version_on(day)
    midnight = dt.datetime.combine(day, dt.time(), tariff.zone)
    return round(midnight.timestamp() * MS) + MS * (version.day_start_s if version is not None else 0)
