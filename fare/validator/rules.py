"""What the operator decides about taps: values of the signed configuration and of the signed fares.

Times are milliseconds, amounts integer tiyn. The defaults are those of a city bus with one flat fare. Pure.
"""

import enum
from typing import Final

import msgspec

from fare.model import MediumKind, RiderCategory

MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
ADULT: Final = RiderCategory("adult")


class Reason(enum.StrEnum):
    """Why a tap was answered as it was. Each is a text of the screen (``texts``) and a metric label."""

    FARE = enum.auto()
    SAME_RIDE = enum.auto()
    TWO_MEDIA = enum.auto()  # in the field at once
    OTHER_MEDIUM = enum.auto()  # right after another one at the same reader: two cards in one wallet
    LEFT_EARLY = enum.auto()
    NOT_OURS = enum.auto()
    NOT_PROVEN = enum.auto()
    CODE_UNKNOWN = enum.auto()  # a phone's code by a key that is on no list here
    NOT_LIVE = enum.auto()  # a phone's code that is not of now: a picture of it, or a clock is wrong
    NOT_TAKEN_HERE = enum.auto()  # this kind of medium
    COUNTER_BACK = enum.auto()  # its own counter went backwards: a copy, or a recording
    EXPIRED = enum.auto()  # the medium's own life is over
    DENIED = enum.auto()
    LIST_OLD = enum.auto()  # the deny list is older than the operator risks
    RIDES_OFFLINE = enum.auto()
    MONEY_OFFLINE = enum.auto()
    FIRST_RIDE = enum.auto()  # nobody has vouched for it yet, and the ride costs more than the operator risks
    NO_FARE = enum.auto()  # no tariff is in force for it
    OUT_OF_SERVICE = enum.auto()  # reader, journal or documents are not there


class KindRules(msgspec.Struct, frozen=True, kw_only=True):
    """Which media of one kind may ride without asking the server."""

    kind: MediumKind
    proof_needed: bool = True
    list_age_max_ms: int = 3 * DAY_MS
    offline_rides_max: int = 10  # not yet acknowledged by the server
    offline_tiyn_max: int = 200_000
    first_rides_max: int = 1  # of a medium that the server has not yet seen, until it acknowledges one
    first_ride_max_tiyn: int = 50_000  # and each at most this dear


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's rules for all validators of a city."""

    kinds: tuple[KindRules, ...]  # what is not here is not taken
    retap_ms: int = 20 * MINUTE_MS  # the same medium on the same vehicle again within this is the same ride
    ride_max_ms: int = 120 * MINUTE_MS  # and within this as long as the vehicle is on the same trip
    rollover_ms: int = 10 * MINUTE_MS  # after a trip became the next one, who paid on the last still rides
    clash_ms: int = 2_000
    free_for: tuple[Reason, ...] = (Reason.LIST_OLD, Reason.NO_FARE, Reason.OUT_OF_SERVICE)  # not the rider's fault
    default_category: RiderCategory = ADULT
    concessions: tuple[RiderCategory, ...] = ()  # each has a token list of its name; the first that holds a medium wins
    upload_every_s: float = 5.0
    ask_every_s: float = 60.0

    def rules_of(self, kind: MediumKind) -> KindRules | None:
        """Return the rules of a kind, None if it is not taken."""
        return next((rules for rules in self.kinds if rules.kind is kind), None)


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What one rider of a category pays with one kind of medium. ``route_id`` "": lines without their own."""

    kind: MediumKind
    category: RiderCategory
    tiyn: int
    route_id: str = ""


class FarePeriod(msgspec.Struct, frozen=True, kw_only=True):
    """The prices that count from ``from_ms`` up to, not including, ``until_ms``."""

    version: str
    from_ms: int
    until_ms: int
    prices: tuple[Price, ...]


class FareTable(msgspec.Struct, frozen=True, kw_only=True):
    """Dated prices: what a validator without network can show. Transfers and caps lower them later on the bill."""

    periods: tuple[FarePeriod, ...]

    def price(self, kind: MediumKind, category: RiderCategory, route_id: str, at_ms: int) -> tuple[int, str] | None:
        """Return the price in tiyn and the version of the tariff, None if none counts at ``at_ms``."""
        period = next((period for period in self.periods if period.from_ms <= at_ms < period.until_ms), None)
        if period is None:
            return None
        found = {
            price.route_id: price.tiyn for price in period.prices if price.kind is kind and price.category == category
        }
        tiyn = found.get(route_id, found.get(""))
        return None if tiyn is None else (tiyn, period.version)
