"""Where the money of a refund goes: back where it came from.

A wallet gets it (and levels its debt), a bank card owes less for its day, a bank takes a chargeback from what the
acquirer owes us. Cash has no account of its own to give back to: its money waits on ``suspense`` until somebody pays it
out by hand.
"""

import datetime as dt
from typing import Final

from fare.ledger import accounts
from fare.model import AccountCode, Entry, Journal, JournalKey, JournalKind, MediumId, MediumKind, Ride
from fare.settlement.closing import advanced_by
from fare.settlement.model import Refund, RefundReason

WALLET_KINDS: Final = frozenset({MediumKind.TRANSPORT_CARD, MediumKind.PHONE, MediumKind.SMS})


def refund_journal(refund: Refund, ride: Ride, ridden_on: dt.date, acquirer: str, at_ms: int) -> Journal:
    """Return the journal of a granted refund of ``ride``, which was of the service day ``ridden_on``.

    Raises:
        ValueError: if the refund is of another ride.
    """
    if refund.ride_key != ride.key:
        raise ValueError(f"refund is of ride {refund.ride_key}, not of {ride.key}")
    chargeback = refund.reason is RefundReason.CHARGEBACK
    receiver = AccountCode(f"{accounts.AccountKind.ACQUIRER}:{acquirer}") if chargeback else paid_from(ride, ridden_on)
    return Journal(
        key=JournalKey(f"refund/{refund.key}"),
        kind=JournalKind.CHARGEBACK if chargeback else JournalKind.REFUND,
        occurred_ms=at_ms,
        entries=(
            Entry(account=advanced_by(refund.reason), amount_tiyn=refund.amount_tiyn),
            Entry(account=receiver, amount_tiyn=-refund.amount_tiyn),
        ),
        subject=refund.ride_key,
    )


def paid_from(ride: Ride, ridden_on: dt.date) -> AccountCode:
    """Return the account that gets back what was paid for a ride."""
    if ride.medium_kind in WALLET_KINDS:
        return accounts.wallet(ride.medium_id)
    if ride.medium_kind is MediumKind.BANK_CARD:
        return accounts.aggregate(ride.medium_id, ridden_on)
    return AccountCode(accounts.AccountKind.SUSPENSE)


def write_off_journal(medium_id: MediumId, amount_tiyn: int, key: str, at_ms: int) -> Journal:
    """Return the journal by which a medium's debt is given up.

    Raises:
        ValueError: if the amount is not above 0.
    """
    if amount_tiyn <= 0:
        raise ValueError(f"amount_tiyn must be above 0: {amount_tiyn}")
    return Journal(
        key=JournalKey(f"write_off/{key}"),
        kind=JournalKind.WRITE_OFF,
        occurred_ms=at_ms,
        entries=(
            Entry(account=AccountCode(accounts.AccountKind.WRITE_OFF), amount_tiyn=amount_tiyn),
            Entry(account=accounts.debt(medium_id), amount_tiyn=-amount_tiyn),
        ),
        subject=medium_id,
    )
