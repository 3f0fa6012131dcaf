"""Values of settlement. A sale is a ride with its charges; amounts are tiyn, days are service days of the tariff.

An amnesty never rewrites a charge: what the tariff says stays on the sale, and what settles is nothing.
"""

import datetime as dt
import enum
from collections.abc import Iterable

import msgspec

from fare.model import Bill, CarrierId, Charge, DeviceId, JournalKey, MediumKind, Ride, RiderCategory
from fare.tariff.model import Tariff


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """A ride and what is charged for it. One with ``amnesty_id`` settles at nothing."""

    ride: Ride
    service_date: dt.date
    charges: tuple[Charge, ...]
    amnesty_id: str = ""

    @property
    def device_id(self) -> DeviceId:
        """Return the device of the tap, whose key is ``device:sequence``."""
        return DeviceId(self.ride.key.rpartition(":")[0])

    @property
    def priced_tiyn(self) -> int:
        """Return what passengers pay by the tariff."""
        return sum(charge.charged_tiyn for charge in self.charges)

    @property
    def settled_tiyn(self) -> int:
        """Return what passengers pay in the end."""
        return 0 if self.amnesty_id else self.priced_tiyn

    @property
    def subsidy_tiyn(self) -> int:
        """Return what others pay for concessions in the end."""
        return 0 if self.amnesty_id else sum(charge.subsidy_tiyn for charge in self.charges)


class RefundReason(enum.StrEnum):
    """Why money goes back."""

    AMNESTY = enum.auto()
    COMPLAINT = enum.auto()
    CHARGEBACK = enum.auto()  # taken back by the bank
    CORRECTION = enum.auto()  # an earlier tap came late, and the ride is cheaper with it


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Money that goes back for a ride, on the books of a service day. The same key is the same refund."""

    key: JournalKey
    ride_key: str
    carrier_id: CarrierId
    amount_tiyn: int
    reason: RefundReason
    service_date: dt.date


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """Riders of one category who paid in one way."""

    medium_kind: MediumKind
    category: RiderCategory
    riders: int
    full_tiyn: int
    charged_tiyn: int
    subsidy_tiyn: int


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What a carrier is owed for a service day. Cash is in the carrier's hands already."""

    carrier_id: CarrierId
    service_date: dt.date
    rides: int
    forgiven_rides: int
    forgiven_tiyn: int  # of rides under an amnesty, by the tariff
    lines: tuple[StatementLine, ...]
    subsidies: tuple[tuple[str, int], ...]  # by who pays, sorted
    refunds_tiyn: int
    commission_tiyn: int

    @property
    def charged_tiyn(self) -> int:
        """Return what passengers paid, cash included."""
        return sum(line.charged_tiyn for line in self.lines)

    @property
    def cash_tiyn(self) -> int:
        """Return what passengers paid in cash."""
        return sum(line.charged_tiyn for line in self.lines if line.medium_kind is MediumKind.CASH)

    @property
    def subsidy_tiyn(self) -> int:
        """Return what others pay for concessions."""
        return sum(amount for _, amount in self.subsidies)

    @property
    def payable_tiyn(self) -> int:
        """Return what is paid out; below nothing is owed by the carrier."""
        return self.charged_tiyn - self.cash_tiyn + self.subsidy_tiyn - self.refunds_tiyn - self.commission_tiyn


def sales_of(bill: Bill, rides: Iterable[Ride], tariff: Tariff) -> tuple[Sale, ...]:
    """Return the rides of a bill as sales, in its order.

    Raises:
        KeyError: if ``rides`` lack one of the bill's.
    """
    by_key = {ride.key: ride for ride in rides}
    charges: dict[str, list[Charge]] = {}
    for charge in bill.charges:
        charges.setdefault(charge.ride_key, []).append(charge)
    return tuple(
        Sale(
            ride=by_key[key],
            service_date=tariff.at(by_key[key].tapped_ms)[0].service_date,
            charges=tuple(lines),
        )
        for key, lines in charges.items()
    )
