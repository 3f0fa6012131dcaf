"""Taps and a small tariff for tests of money: 100 a ride, free within an hour of a paid one, 250 a day; pupils half.

What half a pupil's fare lacks, the city pays. Days are those of UTC, times ``HH:MM`` of a day in November.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fare.model import (
    Bill,
    CarrierId,
    Charge,
    DeviceId,
    LocatedTap,
    MediumId,
    MediumKind,
    PriceReason,
    Profile,
    Ride,
    RiderCategory,
    Tap,
)
from fare.outcomes import TapOutcome

DAY_MS = 86_400_000
MIDNIGHT_MS = 20_400 * DAY_MS
ADULT, PUPIL = RiderCategory("adult"), RiderCategory("pupil")


def medium(number: int) -> MediumId:
    return MediumId(f"{number:032x}")


@dataclass(frozen=True, slots=True)
class SmallTariff:
    """Prices in tiyn."""

    ride_tiyn: int = 100
    day_tiyn: int = 250
    free_ms: int = 3_600_000

    def service_day(self, at_ms: int) -> dt.date:
        return dt.date(1970, 1, 1) + dt.timedelta(days=at_ms // DAY_MS)

    def bill(self, rides: Sequence[Ride], profile: Profile) -> Bill:
        category = profile.concessions[0].category if profile.concessions else ADULT
        spent: dict[dt.date, int] = {}
        charges: list[Charge] = []
        free_until_ms = -1
        for ride in sorted(rides, key=lambda one: (one.tapped_ms, one.key)):
            day = self.service_day(ride.tapped_ms)
            own_tiyn = self.ride_tiyn // (2 if category == PUPIL else 1)
            charged_tiyn = min(own_tiyn, self.day_tiyn - spent.get(day, 0))
            if ride.tapped_ms <= free_until_ms:
                own_tiyn = charged_tiyn = 0
            else:
                free_until_ms = ride.tapped_ms + self.free_ms
            spent[day] = spent.get(day, 0) + charged_tiyn
            charges.append(
                Charge(
                    ride_key=ride.key,
                    category=category,
                    count=1,
                    product_id="single",
                    full_tiyn=self.ride_tiyn,
                    subsidy_tiyn=self.ride_tiyn - own_tiyn if category == PUPIL and own_tiyn else 0,
                    charged_tiyn=charged_tiyn,
                    reason=PriceReason.FULL,
                )
            )
        return Bill(charges=tuple(charges), tariff_versions=("small",))


def tap(
    name: str,
    at: str | int,
    number: int = 7,
    *,
    kind: MediumKind = MediumKind.TRANSPORT_CARD,
    outcome: TapOutcome = TapOutcome.ACCEPTED,
    shown_tiyn: int = 0,
) -> LocatedTap:
    """Return a tap named ``device:sequence``, with its ride if one began."""
    device_id, _, sequence = name.partition(":")
    hours, _, minutes = at.partition(":") if isinstance(at, str) else ("", "", "")
    tapped_ms = at if isinstance(at, int) else MIDNIGHT_MS + (int(hours) * 60 + int(minutes)) * 60_000
    fact = Tap(
        device_id=DeviceId(device_id),
        sequence=int(sequence),
        tapped_ms=tapped_ms,
        medium_id=medium(number),
        medium_kind=kind,
        outcome=outcome,
        vehicle_id="bus-1",
        shown_tiyn=shown_tiyn,
    )
    if not outcome.rides:
        return LocatedTap(tap=fact)
    ride = Ride(
        key=fact.key,
        tapped_ms=tapped_ms,
        medium_id=fact.medium_id,
        medium_kind=kind,
        vehicle_id="bus-1",
        carrier_id=CarrierId("k1"),
        route_id="12",
        stop_id="market",
    )
    return LocatedTap(tap=fact, ride=ride)


def total_tiyn(taps: Iterable[LocatedTap], tariff: SmallTariff, profiles: Mapping[MediumId, Profile]) -> dict[str, int]:
    """Return what each medium pays for all its rides, by the tariff alone."""
    rides: dict[MediumId, list[Ride]] = {}
    for ride in {one.ride.key: one.ride for one in taps if one.ride is not None}.values():
        rides.setdefault(ride.medium_id, []).append(ride)
    return {one: tariff.bill(some, profiles.get(one, Profile())).total_tiyn for one, some in rides.items()}
