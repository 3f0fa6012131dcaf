"""A tariff so small that a benchmark measures the books, with what makes bills change: a cap and transfers."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from fare.model import Bill, Charge, PriceReason, Profile, Ride, RiderCategory

DAY_MS: Final = 86_400_000
ADULT: Final = RiderCategory("adult")


class SmallTariff:
    """90 tenge a ride, free within 30 minutes of a paid one, 400 a day."""

    def service_day(self, at_ms: int) -> dt.date:
        """Return the day, UTC."""
        return dt.date(1970, 1, 1) + dt.timedelta(days=at_ms // DAY_MS)

    def bill(self, rides: Sequence[Ride], profile: Profile) -> Bill:
        """Return what ``rides`` cost; everybody is an adult."""
        del profile
        charges, free_until_ms, spent = [], -1, {}
        for ride in sorted(rides, key=lambda one: (one.tapped_ms, one.key)):
            day = ride.tapped_ms // DAY_MS
            charged_tiyn = 0
            if ride.tapped_ms > free_until_ms:
                free_until_ms = ride.tapped_ms + 1_800_000
                charged_tiyn = min(9_000, 40_000 - spent.get(day, 0))
                spent[day] = spent.get(day, 0) + charged_tiyn
            charges.append(
                Charge(
                    ride_key=ride.key,
                    category=ADULT,
                    count=1,
                    product_id="single",
                    full_tiyn=9_000,
                    subsidy_tiyn=0,
                    charged_tiyn=charged_tiyn,
                    reason=PriceReason.FULL,
                )
            )
        return Bill(charges=tuple(charges), tariff_versions=("small",))
