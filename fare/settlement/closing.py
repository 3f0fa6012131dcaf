"""Close a service day: what each carrier is owed becomes a journal, ``revenue`` is empty of what was settled.

Days are closed in order, once, for all carriers. What comes after its day was closed (a tap that waited on a device, or
one that moved a free transfer to itself) is settled with the next day, on a statement of its own: as the difference to
what was settled, so that all statements together always say what the rides cost by what is known now.

A journal of settlement takes the fares from ``revenue`` and gives the carrier what is payable, ourselves the
commission, and ``refund`` what was advanced. Cash is in the carrier's hands, so it settles what they hold for us. Of
rides under an amnesty nobody pays: what passengers get back stands on ``refund``, and payers of concessions are not
asked.
"""

import datetime as dt
import enum
from collections import defaultdict
from collections.abc import Iterable

import msgspec

from fare.ledger import accounts
from fare.model import AccountCode, Charge, Entry, Journal, JournalKey, JournalKind, MediumKind
from fare.settlement.model import Refund, RefundReason, Sale, Statement


class Part(enum.StrEnum):
    """Which rides a statement is of."""

    DAY = enum.auto()
    LATE = enum.auto()  # of days closed before


class Closing(enum.StrEnum):
    """What became of closing a day, in order of precedence."""

    REPEATED = enum.auto()  # it is closed: the same statements
    OUT_OF_ORDER = enum.auto()  # a later day is closed; its statements have the rides of this one, as late
    NOT_OVER = enum.auto()
    BOOKS_DIFFER = enum.auto()  # rides cost otherwise than posted: the tariff or a profile changed; recompute first
    CLOSED = enum.auto()


def difference(now: Iterable[Charge], settled: Iterable[Charge]) -> tuple[Charge, ...]:
    """Return charges that, added to the settled ones, come to those of now; none where nothing changed."""
    now, settled = tuple(now), tuple(settled)
    if now == settled:
        return ()
    return (*now, *(_negated(charge) for charge in settled))


def late_sale(sale: Sale, settled: Sale | None, booked_on: dt.date) -> Sale:
    """Return a sale of a closed day as the next statement has it. What was forgiven then stays so, and not else."""
    return msgspec.structs.replace(
        sale,
        service_date=booked_on,
        charges=difference(sale.charges, settled.charges if settled is not None else ()),
        amnesty_id=settled.amnesty_id if settled is not None else sale.amnesty_id,
    )


def borne_refunds(refunds: Iterable[Refund], forgiven: frozenset[str], booked_on: dt.date) -> tuple[Refund, ...]:
    """Return the refunds that carriers bear, on the books of a day: not of rides that they were never owed."""
    return tuple(
        msgspec.structs.replace(refund, service_date=booked_on) for refund in refunds if refund.ride_key not in forgiven
    )


def settlement_journal(
    statement: Statement, part: Part, sales: Iterable[Sale], refunds: Iterable[Refund], at_ms: int
) -> Journal | None:
    """Return the journal of a carrier's statement, made of the same sales and refunds; None if nothing moves.

    Raises:
        ValueError: if the statement is not of these sales and refunds.
    """
    sums_tiyn: dict[AccountCode, int] = defaultdict(int)
    owed = (
        accounts.carrier(statement.carrier_id) if statement.carrier_id else AccountCode(accounts.AccountKind.SUSPENSE)
    )
    for sale in sales:
        cash = sale.ride.medium_kind is MediumKind.CASH
        for charge in sale.charges:
            sums_tiyn[accounts.revenue(charge.category)] += charge.charged_tiyn + charge.subsidy_tiyn
            paid = accounts.cash(sale.ride.carrier_id) if cash else owed
            if sale.amnesty_id:
                paid = paid if cash else AccountCode(accounts.AccountKind.REFUND)
                sums_tiyn[accounts.subsidy(charge.category)] -= charge.subsidy_tiyn
            else:
                sums_tiyn[owed] -= charge.subsidy_tiyn
            sums_tiyn[paid] -= charge.charged_tiyn
    for refund in refunds:
        sums_tiyn[advanced_by(refund.reason)] -= refund.amount_tiyn
        sums_tiyn[owed] += refund.amount_tiyn
    sums_tiyn[owed] += statement.commission_tiyn
    sums_tiyn[AccountCode(accounts.AccountKind.COMMISSION)] -= statement.commission_tiyn
    if -sums_tiyn[owed] != statement.payable_tiyn:
        raise ValueError(f"statement must be of these sales: {statement.payable_tiyn} payable, not {-sums_tiyn[owed]}")
    entries = tuple(Entry(account=code, amount_tiyn=tiyn) for code, tiyn in sums_tiyn.items() if tiyn)
    if not entries:
        return None
    subject = f"{statement.carrier_id}/{statement.service_date}"
    return Journal(
        key=JournalKey(f"settlement/{subject}/{part}"),
        kind=JournalKind.SETTLEMENT,
        occurred_ms=at_ms,
        entries=entries,
        subject=subject,
    )


def payout_journal(statement: Statement, part: Part, bank: str, at_ms: int) -> Journal | None:
    """Return the journal that pays a carrier through the bank, or takes what it owes; None if that is nothing."""
    if statement.payable_tiyn == 0 or not statement.carrier_id:
        return None
    subject = f"{statement.carrier_id}/{statement.service_date}"
    return Journal(
        key=JournalKey(f"payout/{subject}/{part}"),
        kind=JournalKind.SETTLEMENT,
        occurred_ms=at_ms,
        entries=(
            Entry(account=accounts.carrier(statement.carrier_id), amount_tiyn=statement.payable_tiyn),
            Entry(account=AccountCode(f"{accounts.AccountKind.BANK}:{bank}"), amount_tiyn=-statement.payable_tiyn),
        ),
        subject=subject,
    )


def advanced_by(reason: RefundReason) -> AccountCode:
    """Return the account on which a refund stands until its carrier has borne it."""
    return AccountCode(
        accounts.AccountKind.CHARGEBACK if reason is RefundReason.CHARGEBACK else accounts.AccountKind.REFUND
    )


def _negated(charge: Charge) -> Charge:
    return msgspec.structs.replace(
        charge,
        count=-charge.count,
        full_tiyn=-charge.full_tiyn,
        subsidy_tiyn=-charge.subsidy_tiyn,
        charged_tiyn=-charge.charged_tiyn,
    )
