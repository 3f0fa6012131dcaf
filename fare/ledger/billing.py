"""From bills to books: what a ride costs is posted, and posted anew when the bill of its day changes.

A tap is a fact, its price follows from the rides around it. When an earlier tap arrives late, or a tariff was wrong,
later rides cost something else: the journal of such a ride is reversed and a new one posted, under keys made of the
tap's key and a version that counts up. So the books say what was charged when, and balances depend on the taps alone,
not on the order in which they came.

A wallet pays as far as it can, ``debt:<medium>`` takes the rest of a ride that happened; ``levelling`` moves between
the two until at most one of them stands above zero, after every change of either.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from fare.ledger import accounts
from fare.ledger.posting import Book
from fare.model import (
    AccountCode,
    Bill,
    Charge,
    Entry,
    Journal,
    JournalKey,
    JournalKind,
    MediumId,
    MediumKind,
    Profile,
    Ride,
    RiderCategory,
)
from fare.outcomes import Posting

WALLET_KINDS: Final = (MediumKind.TRANSPORT_CARD, MediumKind.PHONE, MediumKind.SMS)  # to hash a member takes longer
WINDOW_MS: Final = 8 * 86_400_000  # rides before a tap that its price may depend on: a service week and a day


class Pricing(Protocol):
    """A tariff as the books need it."""

    def bill(self, rides: Sequence[Ride], profile: Profile) -> Bill:
        """Return what the rides of one medium cost. A later ride never changes the charge of an earlier one."""

    def service_day(self, at_ms: int) -> dt.date:
        """Return the service day of a moment."""


class Amount(msgspec.Struct, frozen=True, order=True, gc=False):
    """What riders of one category pay for a ride, and what is paid to us for their concession."""

    category: RiderCategory
    charged_tiyn: int
    subsidy_tiyn: int


class Posted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The last that was posted for a ride. ``journal_key`` is None where nothing moved."""

    version: int
    amounts: tuple[Amount, ...]
    journal_key: JournalKey | None


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A ride that costs not, or not any more, what was posted. Amounts are by category, none of them empty."""

    ride: Ride
    before: Posted | None
    amounts: tuple[Amount, ...]

    @property
    def version(self) -> int:
        """Return the version to be posted."""
        return self.before.version + 1 if self.before is not None else 1

    @property
    def difference_tiyn(self) -> int:
        """Return how much more the passenger pays than before."""
        before_tiyn = sum(one.charged_tiyn for one in self.before.amounts) if self.before is not None else 0
        return sum(one.charged_tiyn for one in self.amounts) - before_tiyn


def changes(
    rides: Sequence[Ride], posted: Mapping[str, Posted], pricing: Pricing, profile: Profile, *, from_ms: int
) -> list[Change]:
    """Return what is to be posted for the rides of one medium from ``from_ms`` on, in order of time.

    ``rides`` are all of the medium since ``WINDOW_MS`` before ``from_ms``; ``posted`` is by ride key.
    """
    amounts = _amounts(pricing.bill(rides, profile).charges)
    found: list[Change] = []
    for ride in sorted(rides, key=lambda ride: (ride.tapped_ms, ride.key)):
        before, now = posted.get(ride.key), amounts.get(ride.key, ())
        if ride.tapped_ms >= from_ms and now != (before.amounts if before is not None else ()):
            found.append(Change(ride=ride, before=before, amounts=now))
    return found


def _amounts(charges: Iterable[Charge]) -> dict[str, tuple[Amount, ...]]:
    """Return what each ride costs, by ride key."""
    found: dict[str, tuple[Amount, ...]] = {}
    for charge in charges:
        if charge.charged_tiyn or charge.subsidy_tiyn:
            amount = Amount(charge.category, charge.charged_tiyn, charge.subsidy_tiyn)
            before = found.get(charge.ride_key)
            found[charge.ride_key] = (amount,) if before is None else _with(before, amount)
    return found


def _with(amounts: tuple[Amount, ...], more: Amount) -> tuple[Amount, ...]:
    """Return ``amounts``, sorted, with ``more`` of a category that may be among them."""
    charged_tiyn, subsidy_tiyn = more.charged_tiyn, more.subsidy_tiyn
    for one in amounts:
        if one.category == more.category:
            charged_tiyn, subsidy_tiyn = charged_tiyn + one.charged_tiyn, subsidy_tiyn + one.subsidy_tiyn
    others = [one for one in amounts if one.category != more.category]
    return tuple(sorted([*others, Amount(more.category, charged_tiyn, subsidy_tiyn)]))


def accounts_of(change: Change, pricing: Pricing) -> set[AccountCode]:
    """Return all accounts that posting ``change`` may touch, apart from those of what it reverses."""
    ride = change.ride
    touched = {accounts.revenue(one.category) for one in change.amounts}
    touched |= {accounts.subsidy(one.category) for one in change.amounts if one.subsidy_tiyn}
    if ride.medium_kind in WALLET_KINDS:
        return touched | {accounts.wallet(ride.medium_id), accounts.debt(ride.medium_id)}
    return touched | {_payer(ride, pricing)}


def posted_by(change: Change) -> Posted:
    """Return what is posted for the ride once ``change`` is: no state of the books makes a difference to it."""
    moves = any(one.charged_tiyn or one.subsidy_tiyn for one in change.amounts)
    key = JournalKey(f"fare/{change.ride.key}/{change.version}") if moves else None
    return Posted(version=change.version, amounts=change.amounts, journal_key=key)


def post_change(book: Book, change: Change, pricing: Pricing) -> Posted:
    """Post ``change`` in ``book``: the reversal of what was posted before, then what the ride costs now.

    Raises:
        RuntimeError: if the ledger refuses, which the accounts of the chart give no reason for.
    """
    ride = change.ride
    if change.before is not None and change.before.journal_key is not None:
        wrong_key = change.before.journal_key
        legs = book.referred[wrong_key].entries
        _take(
            book,
            Journal(
                key=JournalKey(f"back/{ride.key}/{change.before.version}"),
                kind=JournalKind.CORRECTION,
                occurred_ms=ride.tapped_ms,
                entries=tuple(Entry(account=leg.account, amount_tiyn=-leg.amount_tiyn) for leg in legs),
                reverses=wrong_key,
                subject=ride.key,
            ),
        )
    posted = posted_by(change)
    if posted.journal_key is not None:
        entries = _entries(book, change, pricing)
        _take(
            book,
            Journal(
                key=posted.journal_key,
                kind=JournalKind.FARE,
                occurred_ms=ride.tapped_ms,
                entries=entries,
                subject=ride.key,
            ),
        )
    return posted


def levelling(book: Book, medium_id: MediumId, *, key: str, occurred_ms: int) -> Journal | None:
    """Return the journal after which wallet and debt do not both stand above zero; None if that is so.

    A debt below zero was paid twice and goes back to the wallet. Take it after every top-up and every posting of rides;
    ``key`` must be of what caused it.
    """
    wallet, debt = accounts.wallet(medium_id), accounts.debt(medium_id)
    owed_tiyn = book.balances_tiyn.get(debt, 0)
    paid_tiyn = min(owed_tiyn, _available_tiyn(book, wallet))
    if paid_tiyn == 0:
        return None
    return Journal(
        key=JournalKey(f"level/{key}"),
        kind=JournalKind.DEBT_RECOVERY,
        occurred_ms=occurred_ms,
        entries=(Entry(account=wallet, amount_tiyn=paid_tiyn), Entry(account=debt, amount_tiyn=-paid_tiyn)),
        subject=medium_id,
    )


def post_changes(
    book: Book,
    found: Iterable[Change],
    pricing: Pricing,
    then: Iterable[Callable[[Book], Iterable[Journal]]] = (),
) -> list[tuple[Change, Posted]]:
    """Post changes of any media, level wallets and debts of those, and return what is posted now.

    ``then``: what follows from the new prices; each is taken before the next is asked for, and all before levelling.

    Raises:
        RuntimeError: as ``post_change``.
    """
    done: list[tuple[Change, Posted]] = []
    last: dict[MediumId, Ride] = {}
    for change in found:
        done.append((change, post_change(book, change, pricing)))
        if change.ride.medium_kind in WALLET_KINDS:
            last[change.ride.medium_id] = change.ride
    for follows in then:
        for follow in follows(book):
            _take(book, follow)
    versions = {change.ride.key: change.version for change, _ in done}
    for medium_id, ride in last.items():
        key = f"{ride.key}/{versions[ride.key]}"
        journal = levelling(book, medium_id, key=key, occurred_ms=ride.tapped_ms)
        if journal is not None:
            _take(book, journal)
    return done


def _entries(book: Book, change: Change, pricing: Pricing) -> tuple[Entry, ...]:
    """Return the legs of what a ride costs: who pays, who subsidises, and whose fares they are."""
    sums_tiyn: dict[AccountCode, int] = {}
    charged_tiyn = 0
    for one in change.amounts:  # of a category each, so no account comes twice
        charged_tiyn += one.charged_tiyn
        if one.subsidy_tiyn:
            sums_tiyn[accounts.subsidy(one.category)] = one.subsidy_tiyn
        sums_tiyn[accounts.revenue(one.category)] = -one.charged_tiyn - one.subsidy_tiyn
    ride = change.ride
    if ride.medium_kind in WALLET_KINDS:
        wallet = accounts.wallet(ride.medium_id)
        paid_tiyn = min(charged_tiyn, max(_available_tiyn(book, wallet), 0))
        sums_tiyn[wallet] = paid_tiyn
        if charged_tiyn != paid_tiyn:
            sums_tiyn[accounts.debt(ride.medium_id)] = charged_tiyn - paid_tiyn
    else:
        sums_tiyn[_payer(ride, pricing)] = charged_tiyn
    return tuple([Entry(account=code, amount_tiyn=tiyn) for code, tiyn in sums_tiyn.items() if tiyn])


def _payer(ride: Ride, pricing: Pricing) -> AccountCode:
    """Return who owes us a ride that no wallet pays: the bank card's day, or the carrier that took the cash."""
    if ride.medium_kind is MediumKind.BANK_CARD:
        return accounts.aggregate(ride.medium_id, pricing.service_day(ride.tapped_ms))
    return accounts.cash(ride.carrier_id)


def _available_tiyn(book: Book, wallet: AccountCode) -> int:
    return -book.balances_tiyn.get(wallet, 0) - book.held_tiyn.get(wallet, 0)


def _take(book: Book, journal: Journal) -> None:
    posting = book.take(journal)
    if posting is not Posting.POSTED:
        raise RuntimeError(f"journal {journal.key} was not posted: {posting}")
