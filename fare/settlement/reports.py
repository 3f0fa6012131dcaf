"""What a day of sales says: revenue, rides and concessions by line, hour, carrier or payment, and who goes where.

Where a ride ended is taken from where the same medium boarded next, the last ride of a day ending where its first one
began (trip chaining: Barry, Newhouser, Rahbee and Sayeda, Transportation Research Record 1817, 2002). Riders that leave
no second ride on a day are counted with an unknown end, never guessed.
"""

import datetime as dt
import enum
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from fare.model import MediumId, MediumKind, PriceReason
from fare.settlement.model import Sale

UNKNOWN: Final = ""
BY_RIGHT: Final = frozenset({PriceReason.CONCESSION, PriceReason.QUOTA})


class Dimension(enum.StrEnum):
    """What sales are counted by."""

    LINE = enum.auto()
    HOUR = enum.auto()
    CARRIER = enum.auto()
    PAYMENT = enum.auto()
    VEHICLE = enum.auto()
    STOP = enum.auto()


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What a group of sales comes to."""

    rides: int  # taps that were charged
    riders: int
    concessions: int  # riders who pay less than the full fare by a right
    transfers: int
    unpriced: int  # riders for whom the tariff has no price: nobody paid, and somebody should mend it
    full_tiyn: int
    revenue_tiyn: int  # from passengers
    subsidy_tiyn: int


def totals_by(sales: Iterable[Sale], dimension: Dimension, zone: ZoneInfo) -> Mapping[str, Totals]:
    """Return the totals of each value of a dimension, in order of value; hours are local, ``00`` to ``23``."""
    groups: defaultdict[str, list[Sale]] = defaultdict(list)
    for sale in sales:
        groups[_value(dimension, sale, zone)].append(sale)
    return MappingProxyType({value: totals(groups[value]) for value in sorted(groups)})


def totals(sales: Iterable[Sale]) -> Totals:
    """Return the totals of sales."""
    sales = tuple(sales)
    charges = [charge for sale in sales for charge in sale.charges]
    return Totals(
        rides=len(sales),
        riders=sum(charge.count for charge in charges),
        concessions=sum(charge.count for charge in charges if charge.reason in BY_RIGHT),
        transfers=sum(charge.count for charge in charges if charge.reason is PriceReason.TRANSFER),
        unpriced=sum(charge.count for charge in charges if charge.reason is PriceReason.NO_FARE),
        full_tiyn=sum(charge.full_tiyn for charge in charges),
        revenue_tiyn=sum(sale.settled_tiyn for sale in sales),
        subsidy_tiyn=sum(sale.subsidy_tiyn for sale in sales),
    )


def concessions_by(sales: Iterable[Sale]) -> Mapping[tuple[str, str], tuple[int, int]]:
    """Return riders and subsidy by who pays it and category."""
    riders: Counter[tuple[str, str]] = Counter()
    subsidy_tiyn: Counter[tuple[str, str]] = Counter()
    for sale in sales:
        if sale.amnesty_id:
            continue
        for charge in sale.charges:
            if charge.subsidy_tiyn:
                riders[charge.paid_by, charge.category] += charge.count
                subsidy_tiyn[charge.paid_by, charge.category] += charge.subsidy_tiyn
    return MappingProxyType({key: (riders[key], subsidy_tiyn[key]) for key in sorted(riders)})


def origins_and_destinations(sales: Iterable[Sale]) -> Mapping[tuple[str, str], int]:
    """Return how many riders went from one stop to another; ``UNKNOWN`` stands for an end or origin nobody knows."""
    days: defaultdict[tuple[MediumId, dt.date], list[Sale]] = defaultdict(list)
    counted: Counter[tuple[str, str]] = Counter()
    for sale in sales:
        if sale.ride.medium_kind is MediumKind.CASH:  # says nothing of who boards next
            counted[sale.ride.stop_id, sale.ride.to_stop_id or UNKNOWN] += _riders(sale)
        else:
            days[sale.ride.medium_id, sale.service_date].append(sale)
    for day in days.values():
        day.sort(key=lambda sale: (sale.ride.tapped_ms, sale.ride.key))
        for place, sale in enumerate(day):
            onward = day[(place + 1) % len(day)].ride.stop_id
            end = sale.ride.to_stop_id or (onward if onward != sale.ride.stop_id else UNKNOWN)
            counted[sale.ride.stop_id, end] += _riders(sale)
    return MappingProxyType(dict(sorted(counted.items())))


def _riders(sale: Sale) -> int:
    return sum(charge.count for charge in sale.charges)


def _value(dimension: Dimension, sale: Sale, zone: ZoneInfo) -> str:
    read: Mapping[Dimension, Callable[[], str]] = {
        Dimension.LINE: lambda: sale.ride.route_id,
        Dimension.HOUR: lambda: dt.datetime.fromtimestamp(sale.ride.tapped_ms // 1_000, zone).strftime("%H"),
        Dimension.CARRIER: lambda: sale.ride.carrier_id,
        Dimension.PAYMENT: lambda: sale.ride.medium_kind.value,
        Dimension.VEHICLE: lambda: sale.ride.vehicle_id,
        Dimension.STOP: lambda: sale.ride.stop_id,
    }
    return read[dimension]()
