"""Money back: amnesties by vehicle, line and time, single and bulk refunds, never more than was paid.

The same key is the same refund and is granted once, whatever is repeated; whoever asks again gets the first answer.
"""

import datetime as dt
import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from fare.model import JournalKey
from fare.settlement.model import Refund, RefundReason, Sale


class AmnestyWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Rides that cost nothing, as on buses whose validators failed: all that match each of its fields.

    An empty set of vehicles or lines means any. ``until_ms`` is not within it any more.
    """

    amnesty_id: str
    from_ms: int
    until_ms: int
    vehicle_ids: frozenset[str] = frozenset()
    route_ids: frozenset[str] = frozenset()
    ordered_by: str = ""  # who answers for it
    why: str = ""

    def holds(self, sale: Sale) -> bool:
        """Return whether a sale is within."""
        ride = sale.ride
        return (
            self.from_ms <= ride.tapped_ms < self.until_ms
            and (not self.vehicle_ids or ride.vehicle_id in self.vehicle_ids)
            and (not self.route_ids or ride.route_id in self.route_ids)
        )


class RefundOutcome(enum.StrEnum):
    """What became of a request, in order of precedence."""

    REPEATED = enum.auto()  # granted before: the same answer, no second payment
    KEY_REUSED = enum.auto()  # same key, other content: a bug or a fraud
    UNKNOWN_RIDE = enum.auto()
    NOT_POSITIVE = enum.auto()
    EXCEEDS_PAID = enum.auto()  # with what went back before, a chargeback included
    GRANTED = enum.auto()


def decide_refund(refund: Refund, sale: Sale | None, paid_tiyn: int, earlier: Iterable[Refund]) -> RefundOutcome:
    """Say what becomes of a refund for a sale of which ``paid_tiyn`` were paid, after the ``earlier`` granted ones."""
    returned_tiyn = 0
    for other in earlier:
        if other.key == refund.key:
            return RefundOutcome.REPEATED if other == refund else RefundOutcome.KEY_REUSED
        if other.ride_key == refund.ride_key:
            returned_tiyn += other.amount_tiyn
    if sale is None or sale.ride.key != refund.ride_key or sale.ride.carrier_id != refund.carrier_id:
        return RefundOutcome.UNKNOWN_RIDE
    if refund.amount_tiyn <= 0:
        return RefundOutcome.NOT_POSITIVE
    if returned_tiyn + refund.amount_tiyn > paid_tiyn:
        return RefundOutcome.EXCEEDS_PAID
    return RefundOutcome.GRANTED


def under_amnesty(sales: Iterable[Sale], windows: Sequence[AmnestyWindow]) -> tuple[Sale, ...]:
    """Return the sales, those within a window marked with the first one they are in; their charges stay as they were.

    This is for days whose statements are not made yet. A settled day stays as it is, and its passengers are paid back
    by ``amnesty_refunds``, on the books of the day on which that is done.
    """
    return tuple(
        msgspec.structs.replace(
            sale, amnesty_id=next((window.amnesty_id for window in windows if window.holds(sale)), sale.amnesty_id)
        )
        for sale in sales
    )


def amnesty_refunds(
    paid: Iterable[Sale], window: AmnestyWindow, earlier: Iterable[Refund], service_date: dt.date
) -> tuple[Refund, ...]:
    """Return the refunds that an amnesty makes for rides that were paid in full, booked on ``service_date``.

    Each ride gets back what it cost less what went back before. Once they are among ``earlier`` nothing is left to give
    back, so whoever runs it again pays nobody twice. What is left of a ride later, as it costs more by then or another
    refund of it was declined, is a refund of its own.
    """
    returned_tiyn: dict[str, int] = {}
    given: Counter[str] = Counter()  # by this amnesty, by ride
    for refund in earlier:
        returned_tiyn[refund.ride_key] = returned_tiyn.get(refund.ride_key, 0) + refund.amount_tiyn
        given[refund.ride_key] += refund.key.startswith(f"amnesty/{window.amnesty_id}/")
    return tuple(
        Refund(
            key=_amnesty_key(window, sale, given[sale.ride.key]),
            ride_key=sale.ride.key,
            carrier_id=sale.ride.carrier_id,
            amount_tiyn=left_tiyn,
            reason=RefundReason.AMNESTY,
            service_date=service_date,
        )
        for sale in paid
        if window.holds(sale) and (left_tiyn := sale.priced_tiyn - returned_tiyn.get(sale.ride.key, 0)) > 0
    )


def _amnesty_key(window: AmnestyWindow, sale: Sale, given: int) -> JournalKey:
    return JournalKey(f"amnesty/{window.amnesty_id}/{sale.ride.key}{f'/{given + 1}' if given else ''}")


def corrections(
    before: Iterable[Sale], after: Iterable[Sale], service_date: dt.date
) -> tuple[tuple[Refund, ...], Mapping[str, int]]:
    """Return what a bill made anew changes, once an earlier tap came late: refunds, and what is charged more by ride.

    The second is for whoever decides whether to ask passengers for more; rides in only one of the two are new sales.
    """
    was = {sale.ride.key: sale for sale in before}
    refunds: list[Refund] = []
    more_tiyn: dict[str, int] = {}
    for sale in after:
        old = was.get(sale.ride.key)
        if old is None or old.settled_tiyn == sale.settled_tiyn:
            continue
        if sale.settled_tiyn > old.settled_tiyn:
            more_tiyn[sale.ride.key] = sale.settled_tiyn - old.settled_tiyn
            continue
        refunds.append(
            Refund(
                key=JournalKey(f"correction/{sale.ride.key}/{service_date}/{sale.settled_tiyn}"),
                ride_key=sale.ride.key,
                carrier_id=sale.ride.carrier_id,
                amount_tiyn=old.settled_tiyn - sale.settled_tiyn,
                reason=RefundReason.CORRECTION,
                service_date=service_date,
            )
        )
    return tuple(refunds), more_tiyn
