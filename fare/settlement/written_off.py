"""What stands of debts that were written off when rides come to cost something else, or are given back. Pure.

A debt that was written off was never paid, so a ride of which it was cannot give that money back: instead the write-off
shrinks. Debts are of media and not of rides, and which ride is unpaid follows from one rule: money pays the oldest ride
first, so what is owed is of the latest. A write-off is of the latest rides at its time that were not given back; when
one of them is given back, what was not paid of it goes first, and only the rest is money.

It is derived from all that was granted, in the order of the ledger, over prices as they are now. So it does not depend
on when taps came: a late one that takes over another's fare takes over what was written off of it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from fare.ledger import accounts
from fare.ledger.posting import Book
from fare.model import AccountCode, Entry, Journal, JournalKey, JournalKind, MediumId

STANDS: Final = "stands/"  # begins the key of a write-off that nobody asked for: what prices and refunds make of others


class Priced(msgspec.Struct, frozen=True, kw_only=True):
    """What a ride costs its passenger by now."""

    tapped_ms: int
    priced_tiyn: int


class GivenBack(msgspec.Struct, frozen=True, kw_only=True):
    """A refund or chargeback as it was granted. ``number``: of its journal."""

    number: int
    ride_key: str
    amount_tiyn: int


class WrittenOff(msgspec.Struct, frozen=True, kw_only=True):
    """A write-off as it was granted. ``of_rides_tiyn``: of it, what was of rides; ``number``: of its journal."""

    number: int
    at_ms: int
    amount_tiyn: int
    of_rides_tiyn: int


class History(msgspec.Struct, frozen=True, kw_only=True):
    """All that matters of a medium: prices by ride key, what was granted, and what stands of write-offs in the books.

    ``stands_number`` counts how often that was said.
    """

    prices: Mapping[str, Priced]
    given_back: tuple[GivenBack, ...]
    written_off: tuple[WrittenOff, ...]
    stands_number: int
    stands_tiyn: int

    def with_prices(self, prices: Mapping[str, Priced]) -> "History":
        """Return it with other prices of some rides."""
        return msgspec.structs.replace(self, prices={**self.prices, **prices})


class OwedAgain(msgspec.Struct, frozen=True, kw_only=True):
    """What is owed again of what was written off; below 0 it is written off again."""

    medium_id: MediumId
    number: int
    stands_tiyn: int
    taken_tiyn: int
    at_ms: int

    @property
    def accounts(self) -> set[AccountCode]:
        """Return all accounts that ``journals`` name, and the wallet, which is levelled then."""
        return {entry.account for entry in self._entries()} | {accounts.wallet(self.medium_id)}

    def journals(self, _: Book) -> Iterator[Journal]:
        """Give the journal; level wallet and debt then."""
        yield Journal(
            key=JournalKey(f"write_off/{STANDS}{self.medium_id}/{self.number}"),
            kind=JournalKind.WRITE_OFF,
            occurred_ms=self.at_ms,
            entries=self._entries(),
            subject=self.medium_id,
        )

    def _entries(self) -> tuple[Entry, ...]:
        return (
            Entry(account=accounts.debt(self.medium_id), amount_tiyn=self.taken_tiyn),
            Entry(account=AccountCode(accounts.AccountKind.WRITE_OFF), amount_tiyn=-self.taken_tiyn),
        )


def owed_again(medium_id: MediumId, history: History, at_ms: int) -> OwedAgain | None:
    """Return what changes of what stands of a medium's write-offs; None: nothing does."""
    of_none_tiyn = sum(one.amount_tiyn - one.of_rides_tiyn for one in history.written_off)
    stands_tiyn = of_none_tiyn + sum(ride.given_up_tiyn for ride in _replayed(history).values())
    if stands_tiyn == history.stands_tiyn:
        return None
    return OwedAgain(
        medium_id=medium_id,
        number=history.stands_number + 1,
        stands_tiyn=stands_tiyn,
        taken_tiyn=history.stands_tiyn - stands_tiyn,
        at_ms=at_ms,
    )


def of_rides_tiyn(history: History, amount_tiyn: int, at_ms: int) -> int:
    """Return how much of a debt that is written off now is of rides.

    The rest is of none, as when a bank took back money that a pass was bought with, and stands for ever.
    """
    return _give_up(_replayed(history), amount_tiyn, at_ms)


@dataclass(slots=True)
class _Ride:
    """A ride while it is replayed: its price less what went back, and what of that was given up or else paid."""

    key: str
    tapped_ms: int
    net_tiyn: int
    given_up_tiyn: int = 0
    paid_tiyn: int = 0  # as it stood at the last write-off: goes back last


def _replayed(history: History) -> dict[str, _Ride]:
    rides = {
        key: _Ride(key, one.tapped_ms, one.priced_tiyn) for key, one in history.prices.items() if one.priced_tiyn > 0
    }
    granted: Iterable[GivenBack | WrittenOff] = (*history.given_back, *history.written_off)
    for one in sorted(granted, key=lambda act: act.number):
        if isinstance(one, WrittenOff):
            _give_up(rides, one.of_rides_tiyn, one.at_ms)
        elif one.ride_key in rides:
            ride = rides[one.ride_key]
            ride.net_tiyn = max(ride.net_tiyn - one.amount_tiyn, 0)
            ride.given_up_tiyn = max(0, min(ride.given_up_tiyn, ride.net_tiyn - ride.paid_tiyn))
    return rides


def _give_up(rides: Mapping[str, _Ride], amount_tiyn: int, at_ms: int) -> int:
    """Give up a debt of the latest ``rides`` before a moment; return how much of it is of them."""
    left_tiyn = amount_tiyn
    for ride in sorted(rides.values(), key=lambda ride: (ride.tapped_ms, ride.key), reverse=True):
        taken_tiyn = min(ride.net_tiyn - ride.given_up_tiyn, left_tiyn) if ride.tapped_ms <= at_ms else 0
        if taken_tiyn > 0:
            left_tiyn -= taken_tiyn
            ride.given_up_tiyn += taken_tiyn
            ride.paid_tiyn = ride.net_tiyn - ride.given_up_tiyn
    return amount_tiyn - left_tiyn
