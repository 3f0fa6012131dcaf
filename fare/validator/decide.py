"""Decide about one tap, without network: ``decide(presented, holdings, recent, now_ms)``.

The decision and its price are what the passenger sees and what the record keeps. In order of precedence: the medium was
read badly; it is a second one of the same wallet; it is a copy; it has already paid; it has expired or is denied; the
risk without the server is too high; it rides. Whatever of that is not the rider's fault is free where the operator's
rule says so. Pure: the caller remembers the tap (``RecentTaps.remember``) once it is on disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from fare.media._base import Presented, Proof
from fare.model import MediumId, MediumKind, RiderCategory, Riders
from fare.outcomes import TapOutcome
from fare.validator.deny_list import TokenList
from fare.validator.recent import RecentTaps
from fare.validator.rules import Configuration, FareTable, KindRules, Reason
from fare.validator.same_ride import is_same_ride

GREEN: Final = frozenset({TapOutcome.ACCEPTED, TapOutcome.ALREADY_PAID, TapOutcome.FREE_BY_RULE})
OUTCOMES: Final[Mapping[Reason, TapOutcome]] = {
    Reason.FARE: TapOutcome.ACCEPTED,
    Reason.SAME_RIDE: TapOutcome.ALREADY_PAID,
    Reason.TWO_MEDIA: TapOutcome.CLASH,
    Reason.OTHER_MEDIUM: TapOutcome.CLASH,
    Reason.LEFT_EARLY: TapOutcome.TORN,
    Reason.NOT_OURS: TapOutcome.REFUSED_UNKNOWN,
    Reason.NOT_PROVEN: TapOutcome.REFUSED_UNKNOWN,
    Reason.CODE_UNKNOWN: TapOutcome.REFUSED_UNKNOWN,
    Reason.NOT_LIVE: TapOutcome.REFUSED_UNKNOWN,
    Reason.NOT_TAKEN_HERE: TapOutcome.REFUSED_UNKNOWN,
    Reason.COUNTER_BACK: TapOutcome.REFUSED_UNKNOWN,
    Reason.EXPIRED: TapOutcome.REFUSED_EXPIRED,
    Reason.DENIED: TapOutcome.REFUSED_DENIED,
    Reason.LIST_OLD: TapOutcome.REFUSED_LIMIT,
    Reason.RIDES_OFFLINE: TapOutcome.REFUSED_LIMIT,
    Reason.MONEY_OFFLINE: TapOutcome.REFUSED_LIMIT,
    Reason.FIRST_RIDE: TapOutcome.REFUSED_LIMIT,
    Reason.NO_FARE: TapOutcome.REFUSED_LIMIT,
    Reason.OUT_OF_SERVICE: TapOutcome.REFUSED_LIMIT,
}
_MISREAD: Final[Mapping[Proof, Reason]] = {
    Proof.CLASH: Reason.TWO_MEDIA,
    Proof.TORN: Reason.LEFT_EARLY,
    Proof.FAILED: Reason.NOT_OURS,
    Proof.STALE: Reason.NOT_LIVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the validator is, as far as it knows. ``trip_since_ms`` is when this trip became the vehicle's trip."""

    vehicle_id: str
    route_id: str = ""
    trip_id: str = ""
    trip_since_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """The documents a validator holds. ``denied_ms`` is when its deny list was made by the server."""

    configuration: Configuration
    fares: FareTable
    denied: TokenList
    denied_version: int
    denied_ms: int
    seen: TokenList | None = None
    concessions: Mapping[RiderCategory, TokenList]
    phones: TokenList | None = None  # keys of phones by their ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of a tap, and what the passenger is told."""

    outcome: TapOutcome
    reason: Reason
    shown_tiyn: int = 0
    riders: tuple[Riders, ...] = ()
    category: RiderCategory | None = None  # None: it did not come to that
    tariff_version: str = ""
    balance_tiyn: int | None = None  # as the server said it last, less what was ridden since

    @property
    def green(self) -> bool:
        """Return whether the passenger may ride."""
        return self.outcome in GREEN


def decide(
    presented: Presented,
    holdings: Holdings,
    recent: RecentTaps,
    now_ms: int,
    *,
    place: Place,
    reader: str = "",
    companions: tuple[Riders, ...] = (),
) -> Decision:
    """Decide about one showing of a medium; ``now_ms`` is the device's clock, corrected.

    ``companions`` are those whom the passenger asked on the screen to pay for too, on this tap only: with them a medium
    that has already paid pays again, for them alone.
    """
    configuration = holdings.configuration
    medium_id, kind = presented.medium_id, presented.kind
    misread = _misread(presented, configuration, recent, reader, now_ms)
    if misread is not None:
        return _refusal(misread, configuration)
    paid_before = is_same_ride(
        recent.paid(medium_id),
        configuration,
        vehicle_id=place.vehicle_id,
        trip_id=place.trip_id,
        trip_since_ms=place.trip_since_ms,
        at_ms=now_ms,
    )
    if presented.counter >= 0:
        last = recent.counter(medium_id)
        if presented.counter < last or (presented.counter == last and not paid_before):
            copied = Reason.NOT_LIVE if kind is MediumKind.PHONE else Reason.COUNTER_BACK
            return _refusal(copied, configuration)
    category = _category(medium_id, holdings)
    if paid_before and not companions:
        return Decision(
            outcome=TapOutcome.ALREADY_PAID,
            reason=Reason.SAME_RIDE,
            category=category,
            balance_tiyn=_balance(medium_id, recent, 0),
        )
    barred = _barred(presented, holdings, now_ms)
    if barred is not None:
        return _refusal(barred, configuration)
    own = () if paid_before else (Riders(category=category, count=1),)
    riders = _merged((*own, *companions))
    price = _price(kind, riders, holdings, place.route_id, now_ms)
    if price is None:
        return _refusal(Reason.NO_FARE, configuration)
    tiyn, tariff_version = price
    rules = configuration.rules_of(kind)
    risk = _risk(medium_id, tiyn, rules, holdings, recent, now_ms) if rules is not None else Reason.NOT_TAKEN_HERE
    fare = Decision(
        outcome=TapOutcome.ACCEPTED,
        reason=Reason.FARE,
        shown_tiyn=tiyn,
        riders=riders,
        category=category,
        tariff_version=tariff_version,
        balance_tiyn=_balance(medium_id, recent, tiyn),
    )
    return fare if risk is None else replace(_refusal(risk, configuration), riders=riders, category=category)


def out_of_service(configuration: Configuration) -> Decision:
    """Decide about a passenger whom a broken validator cannot serve; the driver's button records each."""
    return _refusal(Reason.OUT_OF_SERVICE, configuration)


def _misread(
    presented: Presented, configuration: Configuration, recent: RecentTaps, reader: str, now_ms: int
) -> Reason | None:
    reason = _MISREAD.get(presented.proof)
    if reason is Reason.NOT_OURS and presented.kind is MediumKind.PHONE:
        return Reason.CODE_UNKNOWN
    if reason is not None:
        return reason
    rules = configuration.rules_of(presented.kind)
    if rules is None:
        return Reason.NOT_TAKEN_HERE
    if rules.proof_needed and presented.proof is not Proof.VERIFIED:
        return Reason.NOT_PROVEN
    other = recent.at_reader(reader) if presented.kind is not MediumKind.PHONE else None  # no wallet shows two codes
    if other is not None and other[0] != presented.medium_id and abs(now_ms - other[1]) < configuration.clash_ms:
        return Reason.OTHER_MEDIUM
    return None


def _barred(presented: Presented, holdings: Holdings, now_ms: int) -> Reason | None:
    if 0 < presented.expires_ms <= now_ms:
        return Reason.EXPIRED
    return Reason.DENIED if presented.medium_id in holdings.denied else None


def _risk(
    medium_id: MediumId, tiyn: int, rules: KindRules, holdings: Holdings, recent: RecentTaps, now_ms: int
) -> Reason | None:
    if now_ms - holdings.denied_ms > rules.list_age_max_ms:
        return Reason.LIST_OLD
    offline = recent.offline(medium_id)
    known = recent.seen(medium_id) or (holdings.seen is not None and medium_id in holdings.seen)
    if not known and (offline.rides >= rules.first_rides_max or tiyn > rules.first_ride_max_tiyn):
        return Reason.FIRST_RIDE
    if offline.rides >= rules.offline_rides_max:
        return Reason.RIDES_OFFLINE
    if offline.tiyn + tiyn > rules.offline_tiyn_max:
        return Reason.MONEY_OFFLINE
    return None


def _category(medium_id: MediumId, holdings: Holdings) -> RiderCategory:
    for category in holdings.configuration.concessions:
        listed = holdings.concessions.get(category)
        if listed is not None and medium_id in listed:
            return category
    return holdings.configuration.default_category


def _price(
    kind: MediumKind, riders: tuple[Riders, ...], holdings: Holdings, route_id: str, now_ms: int
) -> tuple[int, str] | None:
    fares, default = holdings.fares, holdings.configuration.default_category
    total_tiyn, version = 0, ""
    for rider in riders:
        price = fares.price(kind, rider.category, route_id, now_ms) or fares.price(kind, default, route_id, now_ms)
        if price is None:
            return None
        total_tiyn += price[0] * rider.count
        version = price[1]
    return total_tiyn, version


def _merged(riders: tuple[Riders, ...]) -> tuple[Riders, ...]:
    counts: dict[RiderCategory, int] = {}
    for rider in riders:
        counts[rider.category] = counts.get(rider.category, 0) + rider.count
    return tuple(Riders(category=category, count=count) for category, count in counts.items())


def _balance(medium_id: MediumId, recent: RecentTaps, tiyn: int) -> int | None:
    account = recent.account(medium_id)
    return None if account is None else account.balance_tiyn - recent.offline(medium_id).tiyn - tiyn


def _refusal(reason: Reason, configuration: Configuration) -> Decision:
    free = reason in configuration.free_for
    return Decision(outcome=TapOutcome.FREE_BY_RULE if free else OUTCOMES[reason], reason=reason)
