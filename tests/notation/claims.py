"""Money given back and given up, beside rides that are priced anew: what services keep in tables, kept in memory.

The decisions are the product's; only reading and writing are told here in a few lines. ``fare.refund_service``,
``fare.write_off_desk`` and ``fare.service`` do the same in transactions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fare.ledger.accounts import debt
from fare.ledger.billing import WALLET_KINDS, Change, Posted, Pricing, levelling, post_changes
from fare.ledger.posting import Book
from fare.model import Charge, Journal, JournalKey, MediumId, PriceReason, Ride
from fare.outcomes import Posting
from fare.settlement.model import Refund, RefundReason, Sale
from fare.settlement.payback import refund_journal, write_off_journal
from fare.settlement.refunds import RefundOutcome, decide_refund
from fare.settlement.standing import REPRICED, Realigned, Returned, realigned
from fare.settlement.written_off import GivenBack, History, OwedAgain, Priced, WrittenOff, of_rides_tiyn, owed_again

Follows = Sequence[Realigned | OwedAgain]


def priced_tiyn(posted: Posted | None) -> int:
    return sum(one.charged_tiyn for one in posted.amounts) if posted is not None else 0


@dataclass(slots=True)
class Claims:
    """What was granted, and what of it stands. ``numbers``: of journals, by key of the refund."""

    refunds: list[Refund] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    written_off: dict[MediumId, list[WrittenOff]] = field(default_factory=dict)
    stands: dict[MediumId, tuple[int, int]] = field(default_factory=dict)

    def copied(self) -> "Claims":
        written_off = {medium_id: list(some) for medium_id, some in self.written_off.items()}
        return Claims(list(self.refunds), dict(self.numbers), written_off, dict(self.stands))

    def left_tiyn(self, ride: Ride, posted: Posted | None) -> int:
        """Return what may still go back of a ride."""
        return priced_tiyn(posted) - sum(one.amount_tiyn for one in self.refunds if one.ride_key == ride.key)

    def charge(
        self, book: Book, found: Sequence[Change], rides: Iterable[Ride], posted: Mapping[str, Posted], pricing: Pricing
    ) -> list[tuple[Change, Posted]]:
        """Post ``found`` and what follows for ``rides``, all of their media, of which ``posted`` was posted before."""
        now = {
            change.ride.key: Priced(
                tapped_ms=change.ride.tapped_ms, priced_tiyn=sum(one.charged_tiyn for one in change.amounts)
            )
            for change in found
        }
        follows: list[Realigned | OwedAgain] = []
        for change in found:
            ride, day = change.ride, pricing.service_day(change.ride.tapped_ms)
            one = realigned(ride, day, change.version, now[ride.key].priced_tiyn, self._returned(ride.key))
            follows += [one] if one is not None else []
        rides = list(rides)
        at_ms = {change.ride.medium_id: change.ride.tapped_ms for change in found}
        for medium_id, moment_ms in at_ms.items():
            history = self._history(medium_id, rides, posted)
            of_medium = {ride.key: now[ride.key] for ride in rides if ride.key in now and ride.medium_id == medium_id}
            again = owed_again(medium_id, history.with_prices(of_medium), moment_ms)
            follows += [again] if again is not None else []
        self._keep(follows, pricing)
        return post_changes(book, found, pricing, [one.journals for one in follows])

    def refund(
        self,
        book: Book,
        refund: Refund,
        ride: Ride,
        rides: Iterable[Ride],
        posted: Mapping[str, Posted],
        pricing: Pricing,
        at_ms: int,
    ) -> RefundOutcome:
        """Give money back for a ride if it may be."""
        ridden_on, cost_tiyn = pricing.service_day(ride.tapped_ms), priced_tiyn(posted.get(ride.key))
        sale = Sale(ride=ride, service_date=ridden_on, charges=(_charge(ride, cost_tiyn),))
        outcome = decide_refund(refund, sale, sale.priced_tiyn, self.refunds)
        if outcome is not RefundOutcome.GRANTED:
            return outcome
        self.refunds.append(refund)
        _take(book, refund_journal(refund, ride, ridden_on, "main", at_ms))
        self.numbers[refund.key] = book.number
        if ride.medium_kind in WALLET_KINDS:
            again = owed_again(ride.medium_id, self._history(ride.medium_id, rides, posted), at_ms)
            if again is not None:
                self._keep([again], pricing)
                for journal in again.journals(book):
                    _take(book, journal)
            _level(book, ride.medium_id, f"refund/{refund.key}", at_ms)
        return outcome

    def write_off(
        self,
        book: Book,
        medium_id: MediumId,
        tiyn: int,
        key: str,
        rides: Iterable[Ride],
        posted: Mapping[str, Posted],
        at_ms: int,
    ) -> bool:
        """Give up a debt if so much is owed."""
        if not 0 < tiyn <= book.balances_tiyn.get(debt(medium_id), 0):
            return False
        history = self._history(medium_id, rides, posted)
        _take(book, write_off_journal(medium_id, tiyn, key, at_ms))
        made = WrittenOff(
            number=book.number, at_ms=at_ms, amount_tiyn=tiyn, of_rides_tiyn=of_rides_tiyn(history, tiyn, at_ms)
        )
        self.written_off.setdefault(medium_id, []).append(made)
        self.stands[medium_id] = history.stands_number + 1, history.stands_tiyn + tiyn
        return True

    def _returned(self, ride_key: str) -> Returned:
        rows = [one for one in self.refunds if one.ride_key == ride_key]

        def sum_tiyn(*, banks: bool, granted: bool) -> int:
            return sum(
                one.amount_tiyn
                for one in rows
                if (one.reason is RefundReason.CHARGEBACK) is banks and not (granted and one.key.startswith(REPRICED))
            )

        return Returned(
            refunds_tiyn=sum_tiyn(banks=False, granted=True),
            chargebacks_tiyn=sum_tiyn(banks=True, granted=True),
            refunds_stand_tiyn=sum_tiyn(banks=False, granted=False),
            chargebacks_stand_tiyn=sum_tiyn(banks=True, granted=False),
        )

    def _history(self, medium_id: MediumId, rides: Iterable[Ride], posted: Mapping[str, Posted]) -> History:
        own = {ride.key: ride for ride in rides if ride.medium_id == medium_id}
        number, stands_tiyn = self.stands.get(medium_id, (0, 0))
        return History(
            prices={
                key: Priced(tapped_ms=ride.tapped_ms, priced_tiyn=priced_tiyn(posted.get(key)))
                for key, ride in own.items()
            },
            given_back=tuple(
                GivenBack(number=self.numbers[one.key], ride_key=one.ride_key, amount_tiyn=one.amount_tiyn)
                for one in self.refunds
                if one.ride_key in own and not one.key.startswith(REPRICED)
            ),
            written_off=tuple(self.written_off.get(medium_id, ())),
            stands_number=number,
            stands_tiyn=stands_tiyn,
        )

    def _keep(self, follows: Follows, pricing: Pricing) -> None:
        for one in follows:
            if isinstance(one, OwedAgain):
                self.stands[one.medium_id] = one.number, one.stands_tiyn
            else:
                self.refunds += one.refunds(pricing.service_day(one.ride.tapped_ms))


def refund_of(ride: Ride, key: str, tiyn: int, pricing: Pricing, reason: RefundReason) -> Refund:
    return Refund(
        key=JournalKey(key),
        ride_key=ride.key,
        carrier_id=ride.carrier_id,
        amount_tiyn=tiyn,
        reason=reason,
        service_date=pricing.service_day(ride.tapped_ms),
    )


def _charge(ride: Ride, tiyn: int) -> Charge:
    return Charge(
        ride_key=ride.key,
        category="adult",  # type: ignore[arg-type]
        count=1,
        product_id="",
        full_tiyn=tiyn,
        subsidy_tiyn=0,
        charged_tiyn=tiyn,
        reason=PriceReason.FULL,
    )


def _level(book: Book, medium_id: MediumId, key: str, at_ms: int) -> None:
    level = levelling(book, medium_id, key=key, occurred_ms=at_ms)
    if level is not None:
        _take(book, level)


def _take(book: Book, journal: Journal) -> None:
    posting = book.take(journal)
    assert posting is Posting.POSTED, (journal.key, posting)
