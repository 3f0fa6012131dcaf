"""Statements: what each carrier is owed for each service day."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from fare.model import CarrierId, Charge, MediumKind, RiderCategory
from fare.settlement.model import Refund, Sale, Statement, StatementLine

BASIS_POINTS: Final = 10_000

Key = tuple[dt.date, CarrierId]


@dataclass(slots=True)
class _Sums:
    """What is added up of one carrier's day."""

    rides: int = 0
    forgiven_rides: int = 0
    forgiven_tiyn: int = 0
    refunds_tiyn: int = 0
    charges: dict[tuple[MediumKind, RiderCategory], list[Charge]] = field(default_factory=dict)
    subsidies: dict[str, int] = field(default_factory=dict)


def statements(
    sales: Iterable[Sale], refunds: Iterable[Refund], commission_bp: Mapping[MediumKind, int]
) -> tuple[Statement, ...]:
    """Return the statements of all carriers and days that occur, in order of day and carrier.

    Every sale and refund is on one statement, except refunds of rides that are forgiven among ``sales``: the carrier
    was never owed these. ``commission_bp`` is what is kept of payments of a kind in basis points
    (150 is 1.5 %), rounded down on each statement, in the carrier's favour; cash bears none.

    Raises:
        ValueError: if a commission is not from 0 to 10,000.
    """
    for kind, bp in commission_bp.items():
        if not 0 <= bp <= BASIS_POINTS:
            raise ValueError(f"commission_bp of {kind.value} must be from 0 to {BASIS_POINTS}: {bp}")
    sums: dict[Key, _Sums] = {}
    forgiven: set[str] = set()
    for sale in sales:
        of = sums.setdefault((sale.service_date, sale.ride.carrier_id), _Sums())
        of.rides += 1
        if sale.amnesty_id:
            forgiven.add(sale.ride.key)
            of.forgiven_rides += 1
            of.forgiven_tiyn += sale.priced_tiyn
            continue
        for charge in sale.charges:
            of.charges.setdefault((sale.ride.medium_kind, charge.category), []).append(charge)
            if charge.subsidy_tiyn:
                of.subsidies[charge.paid_by] = of.subsidies.get(charge.paid_by, 0) + charge.subsidy_tiyn
    for refund in refunds:
        if refund.ride_key in forgiven:
            continue
        sums.setdefault((refund.service_date, refund.carrier_id), _Sums()).refunds_tiyn += refund.amount_tiyn
    return tuple(_statement(key, sums[key], commission_bp) for key in sorted(sums))


def _statement(key: Key, of: _Sums, commission_bp: Mapping[MediumKind, int]) -> Statement:
    lines = tuple(_line(kind, category, of.charges[kind, category]) for kind, category in sorted(of.charges))
    commission_tiyn = 0
    for kind, bp in commission_bp.items():
        if kind is not MediumKind.CASH:
            paid_tiyn = sum(line.charged_tiyn for line in lines if line.medium_kind is kind)
            commission_tiyn += paid_tiyn * bp // BASIS_POINTS
    return Statement(
        carrier_id=key[1],
        service_date=key[0],
        rides=of.rides,
        forgiven_rides=of.forgiven_rides,
        forgiven_tiyn=of.forgiven_tiyn,
        lines=lines,
        subsidies=tuple(sorted(of.subsidies.items())),
        refunds_tiyn=of.refunds_tiyn,
        commission_tiyn=commission_tiyn,
    )


def _line(kind: MediumKind, category: RiderCategory, charges: list[Charge]) -> StatementLine:
    return StatementLine(
        medium_kind=kind,
        category=category,
        riders=sum(charge.count for charge in charges),
        full_tiyn=sum(charge.full_tiyn for charge in charges),
        charged_tiyn=sum(charge.charged_tiyn for charge in charges),
        subsidy_tiyn=sum(charge.subsidy_tiyn for charge in charges),
    )
