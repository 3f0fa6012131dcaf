"""What stands of money given back for a ride when the ride comes to cost something else. Pure.

A refund is granted of what a ride costs at the time. When an earlier tap comes late and the ride is cheaper with it,
the difference goes back by itself, so of refunds at most the new price stands and the rest is taken back, of
chargebacks last, since banks have that money. If the ride is dearer again, refunds stand again as far as they were
granted. So what a passenger has in the end depends on prices and grants, not on which came first.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Final

import msgspec

from fare.ledger import accounts
from fare.ledger.bank_money import available_tiyn
from fare.ledger.billing import WALLET_KINDS
from fare.ledger.posting import Book
from fare.model import AccountCode, Entry, Journal, JournalKey, JournalKind, MediumId, Ride
from fare.settlement.closing import advanced_by
from fare.settlement.model import Refund, RefundReason
from fare.settlement.payback import paid_from

REPRICED: Final = "repriced/"  # begins the key of a refund that nobody asked for: what a new price makes of others


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """What was granted to go back for a ride, and what of it stands in the books. Chargebacks are apart."""

    refunds_tiyn: int = 0
    chargebacks_tiyn: int = 0
    refunds_stand_tiyn: int = 0
    chargebacks_stand_tiyn: int = 0


class Realigned(msgspec.Struct, frozen=True, kw_only=True):
    """What a new price takes back of what was given back for a ride; below 0 it is given again.

    ``version``: of the price.
    """

    ride: Ride
    ridden_on: dt.date
    version: int
    refunds_tiyn: int
    chargebacks_tiyn: int

    @property
    def medium_id(self) -> MediumId:
        """Return who paid the ride."""
        return self.ride.medium_id

    @property
    def taken_tiyn(self) -> int:
        """Return how much more the passenger pays in all by it."""
        return self.refunds_tiyn + self.chargebacks_tiyn

    @property
    def accounts(self) -> set[AccountCode]:
        """Return all accounts that ``journals`` may name."""
        named = {paid_from(self.ride, self.ridden_on), *(advanced_by(reason) for reason, _ in self._amounts())}
        return named | ({accounts.debt(self.medium_id)} if self.ride.medium_kind in WALLET_KINDS else set())

    def refunds(self, booked_on: dt.date) -> tuple[Refund, ...]:
        """Return what is kept beside the refunds that were granted, below 0 where it takes back."""
        return tuple(
            Refund(
                key=self._key(reason),
                ride_key=self.ride.key,
                carrier_id=self.ride.carrier_id,
                amount_tiyn=-taken_tiyn,
                reason=reason,
                service_date=booked_on,
            )
            for reason, taken_tiyn in self._amounts()
        )

    def journals(self, book: Book) -> Iterator[Journal]:
        """Give the journals, each made of the book as the one before left it; level wallet and debt then."""
        for reason, taken_tiyn in self._amounts():
            legs = self._payer(book, taken_tiyn) | {advanced_by(reason): -taken_tiyn}
            yield Journal(
                key=JournalKey(f"refund/{self._key(reason)}"),
                kind=JournalKind.CHARGEBACK if reason is RefundReason.CHARGEBACK else JournalKind.REFUND,
                occurred_ms=self.ride.tapped_ms,
                entries=tuple(Entry(account=account, amount_tiyn=tiyn) for account, tiyn in legs.items()),
                subject=self.ride.key,
            )

    def _amounts(self) -> list[tuple[RefundReason, int]]:
        both = (RefundReason.CORRECTION, self.refunds_tiyn), (RefundReason.CHARGEBACK, self.chargebacks_tiyn)
        return [(reason, tiyn) for reason, tiyn in both if tiyn]

    def _key(self, reason: RefundReason) -> JournalKey:
        of_banks = "/chargeback" if reason is RefundReason.CHARGEBACK else ""
        return JournalKey(f"{REPRICED}{self.ride.key}/{self.version}{of_banks}")

    def _payer(self, book: Book, taken_tiyn: int) -> dict[AccountCode, int]:
        """Return who pays what is taken back: a wallet as far as it can, and the rest is owed."""
        ride = self.ride
        if ride.medium_kind not in WALLET_KINDS:
            return {paid_from(ride, self.ridden_on): taken_tiyn}
        from_wallet_tiyn = min(taken_tiyn, available_tiyn(book, ride.medium_id))
        legs = {
            accounts.wallet(ride.medium_id): from_wallet_tiyn,
            accounts.debt(ride.medium_id): taken_tiyn - from_wallet_tiyn,
        }
        return {code: tiyn for code, tiyn in legs.items() if tiyn}


def realigned(ride: Ride, ridden_on: dt.date, version: int, priced_tiyn: int, returned: Returned) -> Realigned | None:
    """Return what changes of ``returned`` where the ride costs ``priced_tiyn`` now; None: nothing does."""
    chargebacks_tiyn = min(returned.chargebacks_tiyn, priced_tiyn)
    refunds_tiyn = min(returned.refunds_tiyn, priced_tiyn - chargebacks_tiyn)
    found = Realigned(
        ride=ride,
        ridden_on=ridden_on,
        version=version,
        refunds_tiyn=returned.refunds_stand_tiyn - refunds_tiyn,
        chargebacks_tiyn=returned.chargebacks_stand_tiyn - chargebacks_tiyn,
    )
    return found if found.refunds_tiyn or found.chargebacks_tiyn else None
