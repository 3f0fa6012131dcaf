"""Price the rides of a passenger: who pays what, and why.

Rides are taken in order of time, whatever order they come in, and each is priced by what came before it and by nothing
else. So a later ride never changes an earlier charge, and a price that is shown before a ride is the price that is
charged. What can change a charge is an *earlier* ride that arrives later: caps, transfers and free rides of a day move
to it, and a new bill says so.

Several riders on one tap are told apart by category and number: the second adult of one tap is the second adult of the
next. Each has transfers, free rides and caps of their own, on one and the same medium. Cash has no memory and no
holder, so each ride paid in cash stands alone. In order of precedence a rider pays nothing with a pass; the transfer's
price; nothing on a free ride of the day; the price of the category; and never more than is left under a cap.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from fare.model import Bill, Charge, MediumId, MediumKind, PassHeld, PriceReason, Profile, Ride, RiderCategory
from fare.tariff.model import Fare, Moment, Tariff, TariffVersion, Transfer, window
from gtfs_data.fare_tables import Cap, CapPeriod

NOBODY: Final = Profile()
RIDERS_MAX: Final = 100  # on one tap
MS: Final = 1_000


def price(rides: Iterable[Ride], tariff: Tariff, profile: Profile) -> Bill:
    """Return what ``rides`` cost, in order of time. A ride that comes twice is one ride.

    ``profile`` is that of who holds the media. A ride is priced right if among ``rides`` are those before it in its
    service week, and before that those back to a pause longer than any transfer.

    Raises:
        ValueError: if two rides have one key and differ, or a count of riders is not from 1 to ``RIDERS_MAX``.
    """
    meter = _Meter(tariff, profile)
    charges: list[Charge] = []
    for ride in _in_order(rides):
        charges += meter.charge(ride)
    return Bill(charges=tuple(charges), tariff_versions=tuple(meter.versions))


def quote(ride: Ride, before: Iterable[Ride], tariff: Tariff, profile: Profile) -> tuple[Charge, ...]:
    """Return what ``ride`` would cost after the rides ``before``: what is charged if nothing happens in between.

    Raises:
        ValueError: as ``price``.
    """
    bill = price([*before, ride], tariff, profile)
    return tuple(charge for charge in bill.charges if charge.ride_key == ride.key)


def _in_order(rides: Iterable[Ride]) -> list[Ride]:
    by_key: dict[str, Ride] = {}
    for ride in rides:
        if by_key.setdefault(ride.key, ride) != ride:
            raise ValueError(f"key {ride.key} names two different rides")
    return sorted(by_key.values(), key=lambda ride: (ride.tapped_ms, ride.key))


@dataclass(slots=True)
class _Journey:
    """Rides joined by transfers, since the first of them."""

    start: Moment
    leg_group_id: str
    own_tiyn: int
    full_tiyn: int
    transfers: int = 0


@dataclass(slots=True)
class _Rider:
    """One rider of a medium: the n-th of a category."""

    journey: _Journey | None = None
    free_on: dt.date = dt.date.min
    free_rides: int = 0
    spent: dict[str, tuple[dt.date, int]] = field(default_factory=dict)  # by cap: first day of its period, tiyn


@dataclass(slots=True)
class _Boarding:
    """Who has boarded a vehicle at one moment, on however many taps."""

    vehicle_id: str
    at_ms: int
    riders: Counter[RiderCategory] = field(default_factory=Counter)
    right_used: bool = False
    pass_used: bool = False


# These values are made for every rider of every ride, and a Struct is made faster than a frozen dataclass.
class _Case(msgspec.Struct, frozen=True):
    """A ride, its time and the tariff of that time; what the past and rights are kept by is ``holder``."""

    ride: Ride
    holder: MediumId
    profile: Profile
    moment: Moment
    version: TariffVersion

    def fare(self, category: RiderCategory) -> Fare | None:
        ride = self.ride
        return self.version.fare(ride.route_id, ride.stop_id, ride.to_stop_id, self.moment, ride.medium_kind, category)


class _Seat(msgspec.Struct, frozen=True):
    """Who takes it: the ``number``-th rider of a category, perhaps with the holder's pass."""

    category: RiderCategory
    number: int
    by_pass: bool


class _Owed(msgspec.Struct, frozen=True):
    """What a rider owes for a ride before free rides and caps, and what a full payer would owe in their place."""

    own_tiyn: int
    full_tiyn: int
    reason: PriceReason
    until_ms: int


class _Meter:
    """Prices rides one after another; what it remembers is all that the past means for the next ride."""

    def __init__(self, tariff: Tariff, profile: Profile) -> None:
        self._tariff = tariff
        self._profile = profile
        self._riders: dict[tuple[MediumId, RiderCategory, int], _Rider] = {}
        self._boardings: dict[MediumId, _Boarding] = {}
        self.versions: dict[str, None] = {}

    def charge(self, ride: Ride) -> list[Charge]:
        """Return the lines of a bill for one ride, which must not be earlier than the one before."""
        asked = _asked(ride)
        moment, version = self._tariff.at(ride.tapped_ms)
        if version is None:
            return _merged(_no_fare(ride, category) for category in asked or [RiderCategory("")])
        self.versions[version.version_id] = None
        cash = ride.medium_kind is MediumKind.CASH
        holder, profile = (MediumId(f"cash/{ride.key}"), NOBODY) if cash else (ride.medium_id, self._profile)
        case = _Case(ride, holder, profile, moment, version)
        return _merged(self._charge_one(case, seat) for seat in self._seats(case, asked))

    def _seats(self, case: _Case, asked: Sequence[RiderCategory]) -> Iterator[_Seat]:
        """Yield who rides. A right that must be proven and a pass carry one rider, others pay as the default one."""
        ride, version = case.ride, case.version
        boarding = self._boardings.get(case.holder)
        if boarding is None or (boarding.at_ms, boarding.vehicle_id) != (ride.tapped_ms, ride.vehicle_id):
            boarding = self._boardings[case.holder] = _Boarding(ride.vehicle_id, ride.tapped_ms)
        rights = version.rights(case.profile, case.moment.date)
        for wanted in asked or [rights[0] if rights else version.default_category]:
            rule, category = version.concessions.get(wanted), wanted
            if rule is None or rule.proof:
                if wanted in rights and not boarding.right_used:
                    boarding.right_used = True
                else:
                    category = version.default_category
            by_pass = not boarding.pass_used and _has_pass(case, category)
            boarding.pass_used = boarding.pass_used or by_pass
            yield _Seat(category, boarding.riders[category], by_pass)
            boarding.riders[category] += 1

    def _charge_one(self, case: _Case, seat: _Seat) -> Charge:
        ride, fare = case.ride, case.fare(seat.category)
        if fare is None:
            return _no_fare(ride, seat.category)
        rider = self._riders.setdefault((case.holder, seat.category, seat.number), _Rider())
        owed = _owed(rider, fare, case, seat.category)
        reason, charged_tiyn, subsidy_tiyn, capped_tiyn = owed.reason, owed.own_tiyn, owed.full_tiyn - owed.own_tiyn, 0
        rule = case.version.concessions.get(seat.category)
        if seat.by_pass:
            reason, charged_tiyn, subsidy_tiyn = PriceReason.PASS, 0, 0
        elif charged_tiyn and rule is not None and _takes_free_ride(rider, rule.free_rides_per_day, case.moment):
            reason, charged_tiyn, subsidy_tiyn = PriceReason.QUOTA, 0, owed.full_tiyn
        elif charged_tiyn:
            caps = case.version.caps(fare.network_id, ride.medium_kind, seat.category)
            cap = _reached(rider, caps, charged_tiyn, case.moment)
            if cap is not None:
                charged_tiyn, capped_tiyn = _left(rider, cap, case.moment), cap.amount_tiyn
                reason = PriceReason.DAY_CAP if cap.period is CapPeriod.DAY else PriceReason.WEEK_CAP
            _spend(rider, caps, charged_tiyn, case.moment)
        subsidy_tiyn = subsidy_tiyn if fare.paid_by else 0
        return Charge(
            ride_key=ride.key,
            category=seat.category,
            count=1,
            product_id=fare.product_id,
            full_tiyn=fare.full_tiyn,
            subsidy_tiyn=subsidy_tiyn,
            charged_tiyn=charged_tiyn,
            reason=reason,
            until_ms=owed.until_ms,
            capped_tiyn=capped_tiyn,
            paid_by=fare.paid_by if subsidy_tiyn else "",
        )


def _has_pass(case: _Case, category: RiderCategory) -> bool:
    fare = case.fare(category) if case.profile.passes else None
    return fare is not None and any(
        covers(held, case.version, fare.network_id, case.moment.at_ms) for held in case.profile.passes
    )


def _owed(rider: _Rider, fare: Fare, case: _Case, category: RiderCategory) -> _Owed:
    """Return what a ride costs as a transfer, or as the first of a journey; the rider's journey goes on with it."""
    version, kind, journey = case.version, case.ride.medium_kind, rider.journey
    own_tiyn, full_tiyn = fare.own_tiyn, fare.full_tiyn
    best = _transfer(journey, fare, case, category) if journey is not None else None
    if journey is not None and best is not None:
        own_tiyn = best.price_tiyn(journey.own_tiyn, fare.own_tiyn, full=False)
        full_tiyn = max(own_tiyn, best.price_tiyn(journey.full_tiyn, fare.full_tiyn, full=True))
        journey.leg_group_id = fare.leg_group_id
        journey.own_tiyn += own_tiyn
        journey.full_tiyn += full_tiyn
        journey.transfers += 1
    else:
        journey = rider.journey = _Journey(case.moment, fare.leg_group_id, own_tiyn, full_tiyn)
    limits_s = [
        onward.rule.duration_limit_s
        for onward in version.transfers(fare.leg_group_id, fare.leg_group_id, kind, category)
        if onward.is_free and (onward.rule.transfers_max < 0 or journey.transfers < onward.rule.transfers_max)
    ]
    if own_tiyn < fare.own_tiyn or full_tiyn < fare.full_tiyn:
        reason = PriceReason.TRANSFER
    elif own_tiyn < full_tiyn:
        reason = PriceReason.CONCESSION
    else:
        reason = PriceReason.EXPRESS if fare.express else PriceReason.FULL
    goes_on = any(limits_s) and fare.own_tiyn > 0 and kind is not MediumKind.CASH
    until_ms = journey.start.at_ms + max(limits_s) * MS if goes_on else 0
    return _Owed(own_tiyn, full_tiyn, reason, until_ms)


def _transfer(journey: _Journey, fare: Fare, case: _Case, category: RiderCategory) -> Transfer | None:
    """Return the cheapest rule by which a journey may go on with a fare."""
    rules = case.version.transfers(journey.leg_group_id, fare.leg_group_id, case.ride.medium_kind, category)
    allowed = [transfer for transfer in rules if _is_open(transfer, journey, case.moment)]
    return min(
        allowed, key=lambda transfer: transfer.price_tiyn(journey.own_tiyn, fare.own_tiyn, full=False), default=None
    )


def _reached(rider: _Rider, caps: Iterable[Cap], charged_tiyn: int, moment: Moment) -> Cap | None:
    """Return the cap that leaves the least, if that is less than the charge; of equal ones that of the day."""
    reached = [cap for cap in caps if _left(rider, cap, moment) < charged_tiyn]
    return min(reached, key=lambda cap: (_left(rider, cap, moment), cap.period, cap.cap_id), default=None)


def _spend(rider: _Rider, caps: Iterable[Cap], charged_tiyn: int, moment: Moment) -> None:
    for cap in caps:
        first_day = window(cap, moment)
        before_day, spent_tiyn = rider.spent.get(cap.cap_id, (first_day, 0))
        rider.spent[cap.cap_id] = (first_day, charged_tiyn + (spent_tiyn if before_day == first_day else 0))


def covers(held: PassHeld, version: TariffVersion, network_id: str, at_ms: int) -> bool:
    """Return whether a pass rides for nothing on a network at a moment."""
    products = version.passes.get(held.product_id, ())
    return held.from_ms <= at_ms < held.until_ms and any(one.network_id in {"", network_id} for one in products)


def _asked(ride: Ride) -> list[RiderCategory]:
    for riders in ride.riders:
        if not 1 <= riders.count <= RIDERS_MAX:
            raise ValueError(f"ride {ride.key}: count of riders must be from 1 to {RIDERS_MAX}: {riders.count}")
    return [riders.category for riders in ride.riders for _ in range(riders.count)]


def _is_open(transfer: Transfer, journey: _Journey, moment: Moment) -> bool:
    """Return whether a journey may go on by a rule; one without a time limit ends with the service day."""
    rule = transfer.rule
    if rule.from_leg_group_id == rule.to_leg_group_id and 0 <= rule.transfers_max <= journey.transfers:
        return False
    if not rule.duration_limit_s:
        return moment.service_date == journey.start.service_date
    return moment.at_ms - journey.start.at_ms <= rule.duration_limit_s * MS


def _takes_free_ride(rider: _Rider, per_day: int, moment: Moment) -> bool:
    """Return whether a ride is one of the free ones of the day, and count it if so."""
    if rider.free_on != moment.service_date:
        rider.free_on, rider.free_rides = moment.service_date, 0
    if rider.free_rides >= per_day:
        return False
    rider.free_rides += 1
    return True


def _left(rider: _Rider, cap: Cap, moment: Moment) -> int:
    """Return how much may still be charged under a cap; never below nothing, though caps can be lowered in a period."""
    first_day, spent_tiyn = rider.spent.get(cap.cap_id, (dt.date.min, 0))
    return max(0, cap.amount_tiyn - spent_tiyn) if first_day == window(cap, moment) else cap.amount_tiyn


def _no_fare(ride: Ride, category: RiderCategory) -> Charge:
    return Charge(
        ride_key=ride.key,
        category=category,
        count=1,
        product_id="",
        full_tiyn=0,
        subsidy_tiyn=0,
        charged_tiyn=0,
        reason=PriceReason.NO_FARE,
    )


def _merged(lines: Iterable[Charge]) -> list[Charge]:
    """Return the lines of a ride, riders for whom all is the same counted on one."""
    apart = list(lines)
    if len(apart) == 1:
        return apart
    alike: Counter[Charge] = Counter(apart)
    return [
        line
        if count == 1
        else msgspec.structs.replace(
            line,
            count=line.count * count,
            full_tiyn=line.full_tiyn * count,
            subsidy_tiyn=line.subsidy_tiyn * count,
            charged_tiyn=line.charged_tiyn * count,
        )
        for line, count in alike.items()
    ]
